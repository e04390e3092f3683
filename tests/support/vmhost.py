# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""VM hosts: our own ssh servers on loopback, with the limits of a default sshd."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterable
from pathlib import Path

from support import processes
from support.wait import wait_until

MARK = "UMLT_VM_HOST"
PREFIX = "umlt-"
SUDOERS = Path("/etc/sudoers.d")

CONFIG = """\
ListenAddress {address}
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PidFile none
AllowUsers {user}
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
SetEnv SHLVL=2 {mark}
Subsystem sftp internal-sftp
"""


class VmHost:
    """One sshd with its own port and keys, that lets in one user; ``inside`` are words before its command."""

    def __init__(
        self,
        user: str = "root",
        extra_config: Iterable[str] = (),
        address: str = "127.0.0.1",
        inside: Iterable[str] = (),
    ) -> None:
        self.user = user
        self.extra_config = tuple(extra_config)
        self.address = address
        self.inside = tuple(inside)
        self.mark = f"{MARK}={uuid.uuid4().hex}"
        self.port = 0

    def __enter__(self) -> VmHost:
        self.folder = Path(tempfile.mkdtemp(prefix="uml.sshd."))
        self.folder.chmod(0o755)  # sshd reads the authorized keys as the user who logs in
        for name in ("host_key", "key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name], check=True)
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder)

    def start(self) -> None:
        """Start (again) on a free port, which stays the same over a restart."""
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.port = self.port or _free_port()
        text = CONFIG.format(address=self.address, port=self.port, folder=self.folder, user=self.user, mark=self.mark)
        config = self.folder / "sshd_config"
        config.write_text("\n".join([text, *self.extra_config, ""]))
        command = [*self.inside, shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-f", config, "-E", self.log]
        self.sshd = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        wait_until(self._listening, 60, lambda: f"sshd of {self.user} up: {self.log_text()}")

    def stop(self) -> None:
        """Kill sshd and all that was started through it, detached or not."""
        processes.kill_all(self.processes, f"a process of the VM host of {self.user}")
        self.sshd.wait()

    def processes(self) -> list[int]:
        """List sshd, its children, and all that was started over ssh, even by sudo (see make_user) and detached."""
        return sorted({*processes.descendants(self.sshd.pid), *processes.marked(self.mark)})

    def started(self) -> list[int]:
        """List what was started over ssh and still runs, sshd's own processes left out."""
        return processes.marked(self.mark)

    @property
    def log(self) -> Path:
        """Return the file sshd logs to."""
        return self.folder / "log"

    @property
    def key(self) -> Path:
        """Return the private key that opens the door."""
        return self.folder / "key"

    def log_text(self) -> str:
        """Return what sshd has logged so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def inventory_vars(self) -> dict[str, object]:
        """Return the variables an inventory host needs to get here."""
        return {
            "ansible_host": self.address,
            "ansible_port": self.port,
            "ansible_user": self.user,
            "ansible_ssh_private_key_file": str(self.key),
            "ansible_ssh_common_args": " ".join(self.ssh_options()),
            "ansible_python_interpreter": "/usr/bin/python3",
        }

    def ssh_options(self) -> list[str]:
        """Return ssh's options that keep the machine's own known hosts, agent and configuration out."""
        options = ("UserKnownHostsFile=/dev/null", "StrictHostKeyChecking=no", "IdentitiesOnly=yes", "LogLevel=ERROR")
        return ["-F", "/dev/null", *(word for option in options for word in ("-o", option))]

    def ssh(self, *command: str) -> str:
        """Run a command there by plain ssh and return its output."""
        words = ["ssh", *self.ssh_options(), "-i", str(self.key), "-p", str(self.port), f"{self.user}@{self.address}"]
        done = subprocess.run([*words, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
        return done.stdout

    def _listening(self) -> bool:
        """Look once; an sshd that gave up will not listen."""
        if self.sshd.poll() is not None:
            raise AssertionError(f"sshd ended with {self.sshd.returncode}: {self.log_text()}")
        with contextlib.suppress(OSError), socket.create_connection((self.address, self.port), timeout=1):
            return True
        return False


def _free_port() -> int:
    """Ask the kernel for a port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def make_user(name: str, may_become: Iterable[str] = ()) -> str:
    """Make a user who can log in by key, and who may become others without a password."""
    _check_name(name)
    if not _exists(name):
        subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", "--password", "*", name], check=True)
    others = ",".join(may_become)
    if others:
        _install_sudoers(name, others)
    return name


def remove_user(name: str) -> None:
    """Remove a user together with the processes, the home and the sudo rule."""
    _check_name(name)
    (SUDOERS / name).unlink(missing_ok=True)
    if _exists(name):
        processes.kill_all(lambda: processes.of_user(name), f"a process of {name}")
        subprocess.run(["userdel", "--remove", name], check=True, capture_output=True)


def _install_sudoers(name: str, others: str) -> None:
    """Write the rule; a broken file would lock sudo for the whole machine, so it is checked before it counts."""
    rule = f'{name} ALL=({others}) NOPASSWD: ALL\nDefaults:{name} env_keep += "{MARK}"\n'
    draft = SUDOERS / f"{name}.draft"  # sudo passes over names with a dot
    draft.write_text(rule)
    draft.chmod(0o440)
    subprocess.run(["visudo", "-q", "-c", "-f", draft], check=True)
    draft.rename(SUDOERS / name)


def _exists(name: str) -> bool:
    """Return whether the machine knows the user."""
    return subprocess.run(["id", name], capture_output=True, check=False).returncode == 0


def _check_name(name: str) -> None:
    """Refuse any name that is not a test's: the machine's users are not ours to make or remove."""
    if not name.startswith(PREFIX):
        raise ValueError(f"a test user's name starts with {PREFIX}: {name}")


def unique_user(label: str) -> str:
    """Return a name that no other test run of this machine uses."""
    return f"{PREFIX}{label}-{os.getpid()}"
