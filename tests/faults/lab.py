# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where faults are made: one VM host on its own network, one instance, one controller that keeps its ssh."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from support import ansible, guest, processes, uml
from support.devices import image
from support.network import Network
from support.vmhost import VmHost
from support.wait import wait_until

UMID = "guest"
BOOT_ID = "sys/kernel/random/boot_id"
LONG = "crypto"  # a file of /proc of nine packets, which stays as it is
DISKS = ("ubd1", "ubd2")
Vars = dict[str, Any]
# Short, so that a row which waits for one does not take long; the defaults are 10 and 5 seconds.
TIMEOUTS: Vars = {"ansible_timeout": 4, "ansible_uml_timeout": 2}
ELSEWHERE = "elsewhere"  # what a task's name ends with that another controller runs


class Lab:
    """Everything that a row needs, and what is really so, as the rig's own client sees it."""

    def __init__(self, user: str, network: Network, host: VmHost) -> None:
        self.user, self.network, self.host = user, network, host
        self.uid = pwd.getpwnam(user).pw_uid
        self.guest: uml.Instance
        self._is_warm = False
        self.forget()

    def __enter__(self) -> Lab:
        self.folder = Path(tempfile.mkdtemp(prefix="uml.flt."))
        self.home = Path(tempfile.mkdtemp(prefix="uml.ans."))
        self.folder.chmod(0o755)
        for name in ("a", "b"):
            self.own(Path(image(self.folder / name)))
        self.uml = self.folder / "uml"
        shutil.copy(guest.initrd(), self.folder / "initrd")
        self.boot()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.guest.close()
        ansible.close_connections(self.home)
        self.end_clients()
        for folder in (self.folder, self.home):
            shutil.rmtree(folder)

    # What there is.

    def boot(self, uml_dir: Path | None = None, **options: Any) -> uml.Instance:
        """Start the instance, in the place of what there was."""
        with contextlib.suppress(AttributeError):
            self.guest.close()
        self.guest = uml.launch(UMID, uml_dir or self.uml, user=self.user, **options)
        return self.guest

    def forget(self) -> None:
        """Forget what a fault has put into the runs under it."""
        self.options: Vars = {}
        self.env: dict[str, str] = {}
        self.trouble = ""  # why a fault had no effect
        self.boots: set[str] = set()  # of the instance, under the fault alone
        self.elsewhere: list[ansible.TaskResult] = []

    def own(self, path: Path) -> Path:
        """Make a file or folder the user's."""
        os.chown(path, self.uid, pwd.getpwnam(self.user).pw_gid)
        return path

    def reset(self, warm: bool) -> None:
        """Bring all back to where a row begins: an instance that runs without disks, and a way to it (or none)."""
        self.forget()
        if not self.guest.alive() or self.guest.uml_dir != self.uml:
            self.boot()
        for disk in DISKS:
            wait_until(lambda disk=disk: self.guest.request(f"remove {disk}")[0] in (0, -19), 60, f"{disk} removed")
        if not warm:
            self.cool()
        elif not self._is_warm or not self.clients():
            self.run(["read"]).ok()
            self._is_warm = True

    def cool(self) -> None:
        """Forget every way to the VM host."""
        ansible.close_connections(self.home)
        self.end_clients()
        shutil.rmtree(self.home / "cp", ignore_errors=True)
        self._is_warm = False

    def repair(self) -> None:
        """Bring all back after a row that failed anywhere, so that the next begins as it would have."""
        self.forget()
        self.network.join()
        for pid in [*self.clients(), *(each.pid for each in processes.running() if self._is_master(each.pid))]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.host.stop()
        self.host.start()
        shutil.rmtree(self.private, ignore_errors=True)
        shutil.rmtree(self.home / "cp", ignore_errors=True)
        self.boot()

    def boot_id(self) -> str:
        """Return which boot of the instance this is."""
        return self.guest.request(f"proc {BOOT_ID}")[1].strip()

    def disks(self) -> dict[str, str]:
        """Return the file of each disk that the instance has."""
        found = {disk: self.guest.request(f"config {disk}")[1] for disk in DISKS}
        return {disk: file for disk, file in found.items() if file}

    # The client on the VM host.

    @property
    def private(self) -> Path:
        """Return the directory of the user's clients and sockets."""
        return Path(f"/tmp/.uml-mconsole-{self.uid}")

    def clients(self) -> dict[int, Path]:
        """Return the process of each client that greets, with its socket."""
        found = {}
        for path in self.private.glob("c-*"):
            with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(5)
                sock.connect(str(path))
                found[int(json.loads(sock.makefile("rb").readline())["pid"])] = path
        return found

    def client(self) -> int:
        """Return the process of the one client."""
        found = sorted(self.clients())
        assert len(found) == 1, f"not one client: {found}"
        return found[0]

    def end_clients(self) -> None:
        """End the clients as their idle time would, and see that nothing of them stays."""
        for pid in self.clients():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not self.private.exists(), 60, lambda: f"{self.private} gone: {self.strangers()}")

    def strangers(self) -> list[str]:
        """Name what of the user's is neither the instance, nor of ssh, nor of a client that greets."""
        clients = self.clients()
        ours = {pid for client in clients for pid in processes.of_session(os.getsid(client))}
        ours.update(processes.of_session(self.guest.pid), processes.descendants(self.host.sshd.pid))
        left = [f"process {pid} {_command(pid)}" for pid in processes.of_user(self.user) if pid not in ours]
        sockets = set(self.private.glob("*")) - set(clients.values())
        return [text for text in left if not text.endswith(" ")] + sorted(map(str, sockets)) + self._files()

    def _files(self) -> list[str]:
        """List the user's files in /tmp that are not the rig's, and those of the channel that lead nowhere."""
        ours = {str(each) for each in (self.private, self.folder, self.guest.scratch)}
        with os.scandir("/tmp") as entries:
            found = [each.path for each in entries if each.path not in ours and _owner(each) == self.uid]
        home = pwd.getpwnam(self.user).pw_dir
        return found + [f"{home}/{name}" for name in os.listdir(home) if name.startswith(".ansible")]

    # The controller.

    def controllers(self) -> list[int]:
        """Return the processes of the present run, and what they have started, without ssh masters."""
        return processes.of_command(f"{self.home}/hosts.yml")

    def masters(self) -> list[int]:
        """Return the ssh masters that this controller's runs have left."""
        found = [each.pid for each in processes.running() if self._is_master(each.pid)]
        assert found, "no ssh master"
        return found

    def _is_master(self, pid: int) -> bool:
        return f"{self.home}/cp".encode() in _arguments(pid)

    def inventory(self, **variables: Any) -> Vars:
        """Return the inventory with the instance alone in it."""
        known = {**self.host.inventory_vars(), **TIMEOUTS, "ansible_uml_dir": str(self.guest.uml_dir)}
        return {UMID: {**known, "ansible_connection": "uml.mconsole.mconsole", **variables}}

    def tasks(self, names: Sequence[str]) -> list[Vars]:
        """Return tasks by their names; one that fails does not keep the next from being run."""
        a, b = (str(self.folder / name) for name in ("a", "b"))
        known: dict[str, Vars] = {
            "read": {"uml.mconsole.proc_info": {"path": BOOT_ID}},
            "info": {"uml.mconsole.instance_info": {}},
            "change": {"uml.mconsole.device": {"name": "ubd1", "file": a}},
            "set": {"uml.mconsole.devices": {"config": {"ubd1": a, "ubd2": b}}},
            "long": {"uml.mconsole.proc_info": {"path": LONG}},
            "start": {"uml.mconsole.instance": {"root": {"initrd": str(self.folder / "initrd")}}},
            "backup": {"uml.mconsole.disk_backup": {"dest": str(self.folder / "full"), "sync_timeout": 5}},
        }
        either = {"ignore_errors": True, "ignore_unreachable": True}
        return [{"name": name, **known[name.partition(" ")[0]], **either} for name in names]

    def run(self, tasks: Sequence[str], options: Mapping[str, Any] | None = None, **words: Any) -> ansible.Result:
        """Run tasks on the instance, over the ways that there are."""
        plays = [{"hosts": "all", "gather_facts": False, "tasks": self.tasks(tasks)}]
        return ansible.run_playbook(plays, self.inventory(**options or {}), **{"home": self.home, **words})


def _arguments(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _command(pid: int) -> str:
    return _arguments(pid).replace(b"\0", b" ").decode(errors="replace")[:120].strip()


def _owner(entry: os.DirEntry[str]) -> int | None:
    with contextlib.suppress(FileNotFoundError):
        return entry.stat(follow_symlinks=False).st_uid
    return None


@contextlib.contextmanager
def lab(user: str) -> Iterator[Lab]:
    """Yield a whole lab."""
    with (
        Network() as network,
        VmHost(user, address=network.address, inside=network.inside) as host,
        Lab(user, network, host) as made,
    ):
        yield made
