# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How each fault is made, and mended: context managers over a lab."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from faults.lab import ELSEWHERE, Lab
from support import ansible, guest, processes, relay
from support.wait import wait_until

SETTING = "config ubd1="  # the first command of a change
SECOND = "config ubd2="  # the second of a set
LOOKING = "config ubd1"
MAX_PATH = 107  # bytes that the path of a socket may have
SSH_NEEDS = len("/.ansible/cp/0123456789.0123456789012345")  # of them, ssh for its master below a home directory
HAPPENING = 300  # seconds that a boot in the middle of a change may take
DAY = 86400
Happening = Callable[[Lab, relay.Relay], None]
Fault = Callable[[Lab], AbstractContextManager[None]]


def _in_the_middle(happening: Happening, start: str = SETTING, when: str = relay.BEFORE) -> Fault:
    """Return the fault of something that happens just when a command comes by."""

    @contextlib.contextmanager
    def fault(lab: Lab) -> Iterator[None]:
        before = lab.guest
        with relay.Relay(before.console, start, lambda: happening(lab, between), when) as between:
            yield
            if not between.happened.wait(HAPPENING):  # it may go on after the run that it ended
                lab.trouble = f"{start!r} never came by; seen: {between.seen}"
        if lab.guest.alive():
            lab.guest.wait_up()

    return fault


def _options(**options: object) -> Fault:
    """Return the fault of an inventory or a configuration that says so."""

    @contextlib.contextmanager
    def fault(lab: Lab) -> Iterator[None]:
        lab.options.update(options)
        yield

    return fault


# The instance.


@contextlib.contextmanager
def killed_instance(lab: Lab) -> Iterator[None]:
    """Kill every process of it; it is started again."""
    lab.guest.kill()
    yield
    lab.boot()


@contextlib.contextmanager
def stopped_instance(lab: Lab) -> Iterator[None]:
    """Stop the process that is the kernel; it is continued."""
    processes.stop(lab.guest.pid)
    yield
    os.kill(lab.guest.pid, signal.SIGCONT)


@contextlib.contextmanager
def paused_instance(lab: Lab) -> Iterator[None]:
    """Pause it by its console; it is resumed."""
    assert lab.guest.request("stop")[0] == 0
    yield
    assert lab.guest.request("go")[0] == 0


@contextlib.contextmanager
def booting_instance(lab: Lab) -> Iterator[None]:
    """Hold it where a boot is before its console: it may not make the socket. It is started again."""
    lab.guest.close()
    lab.boot(wait=False)
    pid_file = lab.guest.directory / "pid"
    wait_until(pid_file.exists, 60, "the pid file of an instance that boots")
    lab.guest.directory.chmod(0o555)
    wait_until(lambda: guest.UP in lab.guest.console_log(), 180, "the instance up without a console")
    assert not lab.guest.console.exists()
    yield
    lab.boot()


def _panic(lab: Lab, between: relay.Relay) -> None:
    between.ask("sysrq c")
    lab.guest.wait_dead()


@contextlib.contextmanager
def panicking_instance(lab: Lab) -> Iterator[None]:
    """Let its kernel crash when a change comes; it is started again."""
    with _in_the_middle(_panic, when=relay.LAST)(lab):
        yield
    lab.boot()


def _reboot(lab: Lab, between: relay.Relay) -> None:
    boots = lab.guest.console_log().count(guest.UP)
    between.ask("reboot")
    wait_until(lambda: lab.guest.console_log().count(guest.UP) > boots, 180, "the instance up again")


rebooting_instance = _in_the_middle(_reboot, when=relay.LAST)


def _replace(lab: Lab, between: relay.Relay) -> None:
    lab.boot()


replaced_before_a_change = _in_the_middle(_replace, LOOKING, relay.AFTER)
replaced_after_a_change = _in_the_middle(_replace, SETTING, relay.AFTER)


@contextlib.contextmanager
def lost_directory(lab: Lab) -> Iterator[None]:
    """Remove the directory with its console and its pid file, as a cleaner does; it is started again."""
    shutil.rmtree(lab.guest.directory)
    yield
    lab.boot()


# The local client.


@contextlib.contextmanager
def killed_client(lab: Lab) -> Iterator[None]:
    """Kill it; the next is started by the run itself."""
    os.kill(lab.client(), signal.SIGKILL)
    yield


def _kill_client(lab: Lab, between: relay.Relay) -> None:
    os.kill(lab.client(), signal.SIGKILL)


client_killed_in_a_change = _in_the_middle(_kill_client)
client_killed_in_a_set = _in_the_middle(_kill_client, SECOND, relay.INSTEAD)


@contextlib.contextmanager
def stopped_client(lab: Lab) -> Iterator[None]:
    """Stop it; in the end it is continued, and ended as its idle time would."""
    pid = lab.client()
    processes.stop(pid)
    yield
    _continue_and_end(lab, pid)


@contextlib.contextmanager
def client_stopped_in_a_change(lab: Lab) -> Iterator[None]:
    """Stop it when a change is under way; in the end it is continued, and ended as its idle time would."""
    pid = lab.client()
    with _in_the_middle(lambda lab, between: processes.stop(pid))(lab):
        yield
    _continue_and_end(lab, pid)


def _continue_and_end(lab: Lab, pid: int) -> None:
    os.kill(pid, signal.SIGCONT)
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: pid not in lab.clients(), 60, "the stopped client gone")


@contextlib.contextmanager
def removed_socket(lab: Lab) -> Iterator[None]:
    """Remove it on the VM host; the client that lost it is ended as its idle time would."""
    pid = lab.client()
    lab.clients()[pid].unlink()
    yield
    os.kill(pid, signal.SIGTERM)


@contextlib.contextmanager
def removed_directory(lab: Lab) -> Iterator[None]:
    """Remove the directory of its sockets; the client that lost it is ended as its idle time would."""
    pid = lab.client()
    shutil.rmtree(lab.private)
    yield
    os.kill(pid, signal.SIGTERM)


@contextlib.contextmanager
def foreign_directory(lab: Lab) -> Iterator[None]:
    """Let another user have made the directory of its sockets first."""
    lab.private.mkdir(0o777)
    yield
    lab.private.rmdir()


# The way.


@contextlib.contextmanager
def killed_master(lab: Lab) -> Iterator[None]:
    """Kill it; its socket stays."""
    for pid in lab.masters():
        os.kill(pid, signal.SIGKILL)
    yield


@contextlib.contextmanager
def stopped_master(lab: Lab) -> Iterator[None]:
    """Stop the process. In the end kill it, because nothing else would."""
    masters = lab.masters()
    for pid in masters:
        processes.stop(pid)
    yield
    for pid in masters:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _end_sshd(lab: Lab) -> None:
    processes.kill_all(lambda: processes.descendants(lab.host.sshd.pid), "sshd")
    lab.host.sshd.wait()


@contextlib.contextmanager
def restarted_sshd(lab: Lab) -> Iterator[None]:
    """Kill it with its sessions, and start it; the client stays."""
    _end_sshd(lab)
    lab.host.start()
    yield


@contextlib.contextmanager
def ended_sshd(lab: Lab) -> Iterator[None]:
    """Kill it with its sessions; it is started again for the next run."""
    _end_sshd(lab)
    yield
    lab.host.start()


@contextlib.contextmanager
def cut_network(lab: Lab) -> Iterator[None]:
    """Pull the cable out; it is put in again for the next run."""
    lab.network.cut()
    yield
    lab.network.join()


@contextlib.contextmanager
def shortly_cut_network(lab: Lab) -> Iterator[None]:
    """Pull the cable out, and put it in again after five seconds."""
    lab.network.cut()
    timer = threading.Timer(5, lab.network.join)
    timer.start()
    yield
    timer.join()


@contextlib.contextmanager
def network_cut_in_a_change(lab: Lab) -> Iterator[None]:
    """Pull the cable out when a change is under way; it is put in again for the next run."""
    with _in_the_middle(lambda lab, between: lab.network.cut())(lab):
        yield
    lab.network.join()


def _other_sshd(*config: str, inside: tuple[str, ...] = ()) -> Fault:
    """Return the fault of an sshd that is set otherwise, or started inside of something."""

    @contextlib.contextmanager
    def fault(lab: Lab) -> Iterator[None]:
        was = lab.host.extra_config, lab.host.inside
        _start_anew(lab, (*was[0], *config), (*was[1], *inside))
        yield
        lab.cool()
        _start_anew(lab, *was)

    return fault


def _start_anew(lab: Lab, config: tuple[str, ...], inside: tuple[str, ...]) -> None:
    _end_sshd(lab)
    lab.host.extra_config, lab.host.inside = config, inside
    lab.host.start()


refused_forwarding = _other_sshd("AllowStreamLocalForwarding no")
one_session = _other_sshd("MaxSessions 1")
other_clock = _other_sshd(
    inside=("unshare", "--time", "--fork", "--monotonic", str(10 * DAY), "--boottime", str(10 * DAY))
)


@contextlib.contextmanager
def unknown_host(lab: Lab) -> Iterator[None]:
    """Let ssh insist on knowing the VM host's key."""
    words = lab.host.ssh_options()
    lab.options["ansible_ssh_common_args"] = " ".join(words).replace("Checking=no", "Checking=yes")
    yield


no_master = _options(ansible_ssh_args="-o ControlMaster=no")
forbidden_become = _options(ansible_become=True, ansible_become_user="root")


# Controllers.


def _kill_controller(lab: Lab, between: relay.Relay) -> None:
    processes.kill_all(lab.controllers, "the controller")


def _until_done(fault: Fault) -> Fault:
    """Return a fault that is mended when the client has carried out the order: a later question of it would be lost."""

    @contextlib.contextmanager
    def whole(lab: Lab) -> Iterator[None]:
        with fault(lab):
            yield
            wait_until(lambda: _is_unlocked(lab.guest.directory / "pid"), HAPPENING, "the client has done it")

    return whole


def _is_unlocked(path: Path) -> bool:
    with path.open() as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


controller_killed_in_a_change = _until_done(_in_the_middle(_kill_controller))
controller_killed_in_a_set = _until_done(_in_the_middle(_kill_controller, SECOND))


@contextlib.contextmanager
def second_controller(lab: Lab) -> Iterator[None]:
    """Let another controller begin the same when the first is in the middle of it."""
    with tempfile.TemporaryDirectory(prefix="uml.ans.") as folder, contextlib.ExitStack() as stack:
        home = Path(folder)
        stack.callback(ansible.close_connections, home)

        def run() -> None:
            lab.elsewhere = lab.run([f"set {ELSEWHERE}"], lab.options, home=home).tasks

        def begin(lab: Lab, between: relay.Relay) -> None:
            thread.start()
            wait_until(lambda: list(home.glob("cp/uml-*")), 60, "the second controller on its way")

        thread = threading.Thread(target=run)
        with _in_the_middle(begin)(lab):
            yield
            thread.join(120)


JUMPING = """
import os, time
_real = time.time
def _jumped():
    try:
        return _real() + float(open({path!r}).read() or 0)
    except OSError:
        return _real()
time.time = _jumped
"""


def _jumping_clock(seconds: int) -> Fault:
    """Return the fault of a controller whose clock jumps in the middle of a change.

    It is what its Python says of the time; the files that it writes have the machine's.
    """

    @contextlib.contextmanager
    def fault(lab: Lab) -> Iterator[None]:
        folder = lab.folder / "clock"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(JUMPING.format(path=str(folder / "offset")))
        lab.env["PYTHONPATH"] = str(folder)

        def jump(lab: Lab, between: relay.Relay) -> None:
            (folder / "offset").write_text(str(seconds))

        with _in_the_middle(jump)(lab):
            yield
        shutil.rmtree(folder)

    return fault


clock_set_back = _jumping_clock(-DAY)
clock_set_ahead = _jumping_clock(DAY)


def _long_home(length: int) -> Fault:
    """Return the fault of a controller whose home directory has a path of that length."""

    @contextlib.contextmanager
    def fault(lab: Lab) -> Iterator[None]:
        with tempfile.TemporaryDirectory(prefix="uml.ans.") as folder:
            home = Path(folder) / ("h" * (length - len(folder) - 1))
            home.mkdir()
            lab.env.update(HOME=str(home), ANSIBLE_SSH_CONTROL_PATH_DIR="~/.ansible/cp")
            yield
            for path in (home / ".ansible" / "cp").glob("*"):
                subprocess.run(
                    ["ssh", "-O", "exit", "-o", f"ControlPath={path}", "-"], capture_output=True, check=False
                )

    return fault


longest_home = _long_home(MAX_PATH - SSH_NEEDS)
too_long_home = _long_home(MAX_PATH - 7)


@contextlib.contextmanager
def full_controller(lab: Lab) -> Iterator[None]:
    """Let the file system of the controller's sockets and locks be full."""
    folder = lab.home / "cp"
    folder.mkdir(exist_ok=True)
    with _mounted(folder, "mode=0700"):
        yield


# The VM host.


@contextlib.contextmanager
def _mounted(folder: Path, options: str) -> Iterator[None]:
    """Mount a file system that takes not one more file."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=4k,nr_inodes=1,{options}", "none", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@contextlib.contextmanager
def full_vm_host(lab: Lab) -> Iterator[None]:
    """Let the file system of the client's sockets be full."""
    lab.private.mkdir(0o700)
    lab.own(lab.private)
    with _mounted(lab.private, f"mode=0700,uid={lab.uid}"):
        yield
    lab.private.rmdir()


@contextlib.contextmanager
def full_destination(lab: Lab) -> Iterator[None]:
    """Let the file system be full that a backup is to go to."""
    folder = lab.folder / "full"
    folder.mkdir()
    with _mounted(folder, f"mode=0700,uid={lab.uid}"):
        yield
    folder.rmdir()


@contextlib.contextmanager
def read_only_uml_dir(lab: Lab) -> Iterator[None]:
    """Let the uml_dir be on a file system that is read-only."""
    folder = lab.guest.uml_dir
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@contextlib.contextmanager
def read_only_for_a_start(lab: Lab) -> Iterator[None]:
    """Let an instance that ended be started in a uml_dir that is read-only; it is started afterwards."""
    lab.guest.kill()
    shutil.rmtree(lab.guest.directory)
    with read_only_uml_dir(lab):
        yield
    lab.boot()


@contextlib.contextmanager
def short_queue(lab: Lab) -> Iterator[None]:
    """Let the VM host's sockets have room for two datagrams, and the client be started so."""
    lab.network.sysctl("net.unix.max_dgram_qlen", "1")
    yield
    lab.network.sysctl("net.unix.max_dgram_qlen", "10")


OLD_PYTHON = """#!/bin/sh
# Says that it is older than it is; what it runs is the machine's own.
shift
exec /usr/bin/python3 -c 'import sys
sys.version_info, sys.version = (3, 7, 17, "final", 0), "3.7.17 (a test)"
exec(sys.argv[1])' "$@"
"""
no_python = _options(ansible_python_interpreter="/usr/bin/python9")


@contextlib.contextmanager
def old_python(lab: Lab) -> Iterator[None]:
    """Let Python there say that it is 3.7."""
    program = lab.folder / "python3.7"
    program.write_text(OLD_PYTHON)
    program.chmod(0o755)
    lab.options["ansible_python_interpreter"] = str(program)
    yield
    program.unlink()


@contextlib.contextmanager
def no_home(lab: Lab) -> Iterator[None]:
    """Let the login user's home directory be gone."""
    home = Path(pwd.getpwnam(lab.user).pw_dir)
    home.rename(home.with_name(f"{home.name}.away"))
    yield
    home.with_name(f"{home.name}.away").rename(home)


def _long_uml_dir(lab: Lab, length: int) -> Path:
    """Return a directory with which the console's path has that length."""
    left = length - len(str(lab.folder / "u" / lab.guest.umid / "mconsole"))
    return lab.folder / ("u" * (left + 1))


@contextlib.contextmanager
def longest_console(lab: Lab) -> Iterator[None]:
    """Let the console's path be the longest that a socket can have; it is started again elsewhere."""
    lab.boot(_long_uml_dir(lab, MAX_PATH))
    assert len(str(lab.guest.console)) == MAX_PATH
    lab.boots.add(lab.boot_id())
    yield
    lab.boot()


@contextlib.contextmanager
def too_long_console(lab: Lab) -> Iterator[None]:
    """Let the uml_dir be one in which no console can be."""
    lab.options["ansible_uml_dir"] = str(_long_uml_dir(lab, MAX_PATH + 1))
    yield
