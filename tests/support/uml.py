# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real kernels, started by a bare command line that owes the collection nothing."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from support import amx, guest, mconsole, processes
from support.wait import wait_until

BOOT_TIMEOUT = 180.0  # seconds; a second or two on an idle machine
LAUNCHED: list[Instance] = []


def kernel_path(kernel: str | Path | None = None) -> Path:
    """Return the kernel to boot; a missing one is an error, because a skipped test proves nothing."""
    wanted = str(kernel or os.environ.get("UML_KERNEL") or "linux.uml")
    found = shutil.which(wanted)
    if found is None:
        raise RuntimeError(f"no User-Mode Linux kernel {wanted!r}: run tools/setup, or set UML_KERNEL to one's path")
    return Path(found)


@dataclass
class Instance:
    """One launched kernel, with the folder the rig keeps its log and its agent's files in."""

    umid: str
    uml_dir: Path
    pid: int
    scratch: Path
    process: subprocess.Popen[bytes]
    numbers: count[int] = field(default_factory=count)

    @property
    def directory(self) -> Path:
        """Return the folder the kernel keeps its socket and its pid file in."""
        return self.uml_dir / self.umid

    @property
    def console(self) -> Path:
        """Return the path of the mconsole socket."""
        return self.directory / "mconsole"

    @property
    def log(self) -> Path:
        """Return the file the kernel's standard output goes to."""
        return self.scratch / "log"

    @property
    def agent(self) -> Path:
        """Return the folder shared with the guest as /agent."""
        return self.scratch / "agent"

    def request(self, text: str, timeout: float = 30) -> tuple[int, str]:
        """Send a console command by the rig's own client."""
        return mconsole.request(self.console, text, timeout)

    def guest(self, command: str, timeout: float = 60) -> str:
        """Run a shell command inside the guest and return its output; a failing one fails the test."""
        status, output = self.guest_status(command, timeout)
        if status != 0:
            raise AssertionError(f"{self.umid}: {command!r} ended with {status}:\n{output}")
        return output

    def guest_status(self, command: str, timeout: float = 60) -> tuple[int, str]:
        """Run a shell command inside the guest and return its status and output."""
        job = self.agent / str(next(self.numbers))
        job.with_suffix(".new").write_text(command + "\n")
        job.with_suffix(".new").rename(job.with_suffix(".cmd"))
        wait_until(job.with_suffix(".rc").exists, timeout, lambda: self._complaint(f"guest ran {command!r}"))
        status, output = (job.with_suffix(suffix).read_text(errors="replace") for suffix in (".rc", ".out"))
        return int(status), output

    def alive(self) -> bool:
        """Return whether the main process still runs."""
        return self.process.poll() is None

    def console_log(self) -> str:
        """Return what the kernel and its guest have printed so far."""
        return self.log.read_text(errors="replace")

    def wait_up(self, timeout: float = BOOT_TIMEOUT, boots: int = 1) -> None:
        """Wait until the console answers and the guest has come up for the given time (2: after a reboot)."""
        wait_until(lambda: self._up(boots), timeout, lambda: self._complaint("guest up"))

    def wait_dead(self, timeout: float = 60) -> None:
        """Wait until the main process has ended by itself."""
        wait_until(lambda: not self.alive(), timeout, lambda: self._complaint("process ended"))

    def kill(self) -> None:
        """Kill the whole session, helpers included, and reap it; the umid folder stays as a crash leaves it."""
        processes.kill_all(lambda: processes.of_session(self.pid), f"session of {self.umid}")
        self.process.wait()

    def close(self) -> None:
        """Kill the instance and remove all its files."""
        self.kill()
        for folder in (self.directory, self.scratch):
            shutil.rmtree(folder, ignore_errors=True)

    def _up(self, boots: int) -> bool:
        """Look once; a kernel that died will never come up."""
        if not self.alive():
            raise AssertionError(self._complaint(f"kernel ended with {self.process.returncode}"))
        return self.console_log().count(guest.UP) >= boots and mconsole.answers(self.console)

    def _complaint(self, what: str) -> str:
        """Describe the failure together with the end of the log, which usually shows the reason."""
        return f"{self.umid}: {what}; end of its log:\n{self.console_log()[-2000:]}"


def launch(
    umid: str,
    uml_dir: Path,
    *extra_args: str,
    kernel: str | Path | None = None,
    memory: str = "128M",
    notify: Path | None = None,
    agent: bool = True,
    wait: bool = True,
    root: Path | None = None,
    user: str | None = None,
    preload: tuple[Path, ...] = (),
) -> Instance:
    """Boot a kernel on the test guest, from the initrd or from the ext4 image `root`, as `user` if given."""
    command = [str(kernel_path(kernel)), f"umid={umid}", f"uml_dir={uml_dir}/", f"mem={memory}"]
    command += ["con0=null,fd:1", "con=null", "ssl=null", f"hostname={umid}"]
    command += [f"mconsole=notify:{notify}"] * (notify is not None)
    _own(uml_dir, user)
    with _scratch(user) as scratch:
        command += [*_root_args(root, scratch, user), *[f"agent={scratch}/agent"] * agent, *extra_args]
        instance = _start(umid, uml_dir, scratch, command, user, preload)
    if wait:
        _wait_or_close(instance)
    return instance


@contextlib.contextmanager
def fixed_addresses() -> Iterator[None]:
    """Start kernels as `setarch -R` does: the random gap before their heap costs them memory."""
    libc = ctypes.CDLL(None)
    before = libc.personality(0xFFFFFFFF)
    libc.personality(before | 0x0040000)
    try:
        yield
    finally:
        libc.personality(before)


def _start(
    umid: str, uml_dir: Path, scratch: Path, command: list[str], user: str | None, preload: tuple[Path, ...]
) -> Instance:
    """Start the kernel in its own session, so that every process of it can be found again."""
    with (scratch / "log").open("wb") as log, fixed_addresses():
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=scratch,
            start_new_session=True,
            **_identity(user, preload),
        )
    instance = Instance(umid, uml_dir, process.pid, scratch, process)
    LAUNCHED.append(instance)
    return instance


def _wait_or_close(instance: Instance) -> None:
    """Wait for the guest; one that does not come up leaves nothing behind."""
    try:
        instance.wait_up()
    except BaseException:
        instance.close()
        raise


def _root_args(root: Path | None, scratch: Path, user: str | None) -> list[str]:
    """Return the words that name the root file system."""
    if root is not None:
        return [f"ubd0={root}", "root=/dev/ubda", "rw", "init=/init"]
    initrd = guest.initrd()
    if user is not None:  # who may not be allowed to look into the checkout
        initrd = Path(shutil.copy(initrd, scratch))
    return [f"initrd={initrd}", "root=/dev/ram0", "rdinit=/init"]


@contextlib.contextmanager
def _scratch(user: str | None) -> Iterator[Path]:
    """Make the folder for the log and the agent, which is the instance's owner's, and gone when there is no start."""
    scratch = Path(tempfile.mkdtemp(prefix="uml.run."))
    try:
        for folder in (scratch, scratch / "agent"):
            _own(folder, user)
        yield scratch
    except BaseException:
        shutil.rmtree(scratch)
        raise


def _own(folder: Path, user: str | None) -> None:
    """Make sure that a folder is there and is the user's."""
    folder.mkdir(parents=True, exist_ok=True)
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(folder, entry.pw_uid, entry.pw_gid)


def _identity(user: str | None, preload: tuple[Path, ...] = ()) -> dict[str, object]:
    """Return what makes a child process the user's, with the register shim where this machine needs it."""
    loaded = {"LD_PRELOAD": ":".join(map(str, preload))} if preload else amx.by_hand()
    if user is None:
        return {"env": {**os.environ, **loaded}}
    entry = pwd.getpwnam(user)
    environment = {"HOME": entry.pw_dir, "USER": user, "PATH": os.defpath, **loaded}
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [], "env": environment}


def leftovers() -> list[str]:
    """Name the launched instances of which a process still runs."""
    return [f"{instance.umid}: {pids}" for instance in LAUNCHED if (pids := processes.of_session(instance.pid))]


def close_all(instances: list[Instance]) -> None:
    """Close every instance, even when closing one of them fails."""
    with contextlib.ExitStack() as stack:
        for instance in instances:
            stack.callback(instance.close)
