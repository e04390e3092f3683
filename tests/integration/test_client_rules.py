# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules that kernels force upon a client, each tried on real kernels.

The numbers are those of the rules; `tests/integration/test_contract.py` shows the behaviour behind them.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.console import Console
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import (
    DangerError,
    Error,
    InputError,
    NotAllowedError,
    NotThereError,
    RefusedError,
    UnansweredError,
)
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.reply_sockets import ReplySockets
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.wire import Notification
from support import kernels, processes, uml
from support.run_as_user import SOMEBODY_ELSE, as_user
from support.wait import wait_until

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
SHORT = 1.0
SLACK = 15.0  # seconds that a busy machine may take beyond a time-out
BIG = 160_000
OPTION = "Bad configuration option"
SO_SNDBUFFORCE = 32


@pytest.fixture(scope="module", params=kernels.wanted())
def lasting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[uml.Instance]:
    """Return an instance of each kernel, for tests that leave it as it was."""
    instance = uml.launch("lasting", tmp_path_factory.mktemp("u"), kernel=kernels.path(request.param))
    yield instance
    instance.close()


@pytest.fixture(params=kernels.wanted())
def mortal(request: pytest.FixtureRequest, launch_guest: Callable[..., uml.Instance]) -> uml.Instance:
    """Return an instance of each kernel, for one test alone."""
    return launch_guest("mortal", kernel=kernels.path(request.param))


@pytest.fixture
def to(sockets: ReplySockets) -> Callable[..., Console]:
    """Return what makes a console to an instance."""
    return lambda instance, **options: Console(
        str(instance.console), **{"sockets": sockets, "timeout": 30.0, **options}
    )


@contextlib.contextmanager
def in_time(seconds: float) -> Iterator[None]:
    """Fail when the block takes longer, or burns the processor while it waits."""
    start, burnt = time.monotonic(), time.process_time()
    yield
    assert time.monotonic() - start < seconds + SLACK
    assert time.process_time() - burnt < 0.5


@contextlib.contextmanager
def halted(instance: uml.Instance) -> Iterator[None]:
    """Stop the process that is the kernel, from the host."""
    processes.stop(instance.pid)
    try:
        yield
    finally:
        os.kill(instance.pid, signal.SIGCONT)


Make = Callable[..., Console]


# 1. Bind, connect, and never wait for ever.


def test_rule_01_a_killed_instance_is_noticed_in_time(mortal: uml.Instance, to: Make) -> None:
    """Two helpers of 6.x keep the socket of a dead instance open, and no process reads it."""
    os.kill(mortal.pid, signal.SIGKILL)
    mortal.process.wait()
    with in_time(SHORT), pytest.raises((UnansweredError, NotThereError)):
        to(mortal).command("version", timeout=SHORT)
    mortal.kill()
    with in_time(0), pytest.raises(NotThereError, match="is gone"):
        to(mortal).command("version")


def test_rule_01_a_full_queue_neither_hangs_nor_burns(mortal: uml.Instance, to: Make) -> None:
    console = to(mortal)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
        filler.setblocking(False)
        filler.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 1 << 20)  # else it is full before a long queue is
        with halted(mortal):
            with contextlib.suppress(BlockingIOError):
                while True:
                    filler.sendto(b"\xbe\xba\xfe\xca\x02\0\0\0\x02\0\0\0go", str(mortal.console))
            with in_time(SHORT), pytest.raises(UnansweredError, match="its queue is full") as caught:
                console.command("version", timeout=SHORT)
    assert caught.value.facts["sent"] is False
    assert console.sent == []
    assert console.command("version", timeout=30).ok


# 2. Only whole words are sent.


def test_rule_02_what_a_kernel_would_take_for_halt_is_not_sent(lasting: uml.Instance, to: Make) -> None:
    for text in ("halt_me", "haltXYZ", "halt now", "reboots", "halt\n"):
        with pytest.raises(InputError):
            to(lasting).command(text)
    assert to(lasting).command("version").ok


def test_rule_02_the_longest_command_is_taken_whole(lasting: uml.Instance, to: Make) -> None:
    name = "proc " + "x" * 506
    assert to(lasting).request(name).text == "Failed to open file"
    with pytest.raises(InputError):
        to(lasting).request(name + "x")


# 3. A late answer belongs to no request.


def test_rule_03_a_late_answer_is_not_taken_for_the_next(mortal: uml.Instance, to: Make) -> None:
    console = to(mortal)
    with halted(mortal), in_time(SHORT), pytest.raises(UnansweredError):
        console.command("proc cmdline", timeout=SHORT)
    assert console.ask("config con1") == "null"
    assert console.sent == ["proc cmdline", "config con1"]


def test_rule_03_a_stranger_cannot_answer(mortal: uml.Instance, to: Make, sockets: ReplySockets) -> None:
    """While the instance is held, another socket tries to answer in its place."""
    own = f"r{os.getpid()}-"
    heard: list[str] = []
    with halted(mortal):
        thread = threading.Thread(target=lambda: heard.append(to(mortal).command("version", timeout=30).text))
        thread.start()
        new = wait_until(lambda: [name for name in os.listdir(sockets.directory) if own in name], 60, "its socket")
        wait_until(lambda: connected(f"{sockets.directory}/{new[0]}"), 60, "the stranger to be refused")
    thread.join(30)
    assert heard[0].startswith("Linux mortal ")


def connected(path: str) -> bool:
    """Return whether a socket hears its own peer alone by now."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        try:
            stranger.connect(path)
        except PermissionError:
            return True
    return False


# 4. One request in flight; what others have in flight is theirs.


def test_rule_04_many_clients_hear_their_own_answers(lasting: uml.Instance, to: Make) -> None:
    """A kernel answers what is queued newest first."""
    wrong: list[str | None] = []

    def ask(number: int) -> None:
        console = to(lasting, timeout=30)
        for _each in range(10):
            said = console.ask(f"config con{number}")
            if said != (None if number > 15 else "null"):
                wrong.append(said)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


# 5. Long replies.


@pytest.fixture(scope="module")
def big(lasting: uml.Instance) -> str:
    """Return the text of a large file of the guest, /root/big."""
    text = "".join(f"{number:07d}\n" for number in range(BIG // 8))
    (lasting.agent / "big").write_text(text)
    lasting.guest("cp /agent/big /root/big")
    return text


def test_rule_05_a_large_file_arrives_whole(lasting: uml.Instance, big: str, to: Make) -> None:
    for _each in range(5):
        reply = to(lasting).command("proc 1/root/root/big")
        assert (reply.truncated, reply.text) == (False, "\n" + big)


def test_rule_05_also_when_the_reader_is_slow(lasting: uml.Instance, big: str, to: Make) -> None:
    """A kernel's own send buffer holds 166 packets, unless it is given room."""
    console = to(lasting)

    class Slow(list[str]):
        def append(self, text: str) -> None:
            super().append(text)
            wait_until(lambda: lasting.request("go") == (1, "Not stopped"), 60, "an answer")
            time.sleep(0.1)  # not for luck: it is the slowness

    console.sent = Slow()
    assert console.proc("1/root/root/big") == big


def test_rule_05_without_room_it_says_that_it_is_cut(launch_guest: Callable[..., uml.Instance]) -> None:
    """Check a fresh instance, whose send buffer still has its first size."""
    guest = launch_guest("narrow")
    (guest.agent / "big").write_text("0123456\n" * (BIG // 8))
    guest.guest("cp /agent/big /root/big")
    console = Console(str(guest.console), sockets=ReplySockets(roomy=False))
    for _each in range(5):
        reply = console.command("proc 1/root/root/big")
        assert reply.truncated or len(reply.text) == BIG + 1


def test_rule_05_what_fits_a_queue_needs_no_room(lasting: uml.Instance) -> None:
    lasting.guest("head -c 4095 /dev/zero | tr '\\0' x > /root/fits")
    console = Console(str(lasting.console), sockets=ReplySockets(roomy=False))
    for _each in range(20):
        assert console.proc("1/root/root/fits") == "x" * 4095


def test_rule_05_the_longest_key_arrives_whole(lasting: uml.Instance, to: Make) -> None:
    reply = to(lasting).command("sysrq m")
    assert (reply.truncated, reply.packets > 11) == (False, True)


# 6. OK does not mean that it works, and what is shown is not what was set.


def test_rule_06_an_ok_proves_nothing(lasting: uml.Instance, to: Make) -> None:
    console = to(lasting)
    assert console.command("config vec7:transport=nosuch").ok
    assert lasting.guest_status("ip link set vec7 up")[0] != 0
    assert console.command("remove vec7").ok


# 7. Ghosts, and disks that are still open.


def test_rule_07_a_ghost_is_not_removed(lasting: uml.Instance, to: Make) -> None:
    console = to(lasting)
    with pytest.raises(DangerError, match="a boot-line disk that failed"):
        console.command("remove ubd0")
    assert "remove ubd0" not in console.sent
    assert console.command("version").ok


def test_rule_07_a_disk_is_removed_once_it_is_closed(lasting: uml.Instance, to: Make, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"\0" * 65536)
    console = to(lasting)
    console.command(f"config ubd1={tmp_path}/disk")

    refusals = set()

    def removed() -> bool:
        refusals.add(console.request("remove ubd1").err)
        return 0 in refusals

    wait_until(removed, 60, "the removal")
    assert refusals <= {0, -16}


def test_rule_07_an_empty_disk_is_no_ghost(lasting: uml.Instance, to: Make, tmp_path: Path) -> None:
    (tmp_path / "disk").touch()
    to(lasting).command(f"config ubd2r={tmp_path}/disk")
    wait_until(lambda: to(lasting).request("remove ubd2").ok, 60, "the removal")


# 8. A paused instance.


@pytest.mark.parametrize("text", ["config con1=pts", "remove con1", "proc 1/root/etc/passwd", "proc meminfo"])
def test_rule_08_a_paused_instance_is_left_alone(lasting: uml.Instance, to: Make, text: str) -> None:
    console = to(lasting)
    assert console.paused() is False
    console.command("stop")
    try:
        assert console.paused() is True
        with pytest.raises(DangerError, match="the instance is paused"):
            console.command(text)
        assert console.ask("config con1") == "null"
    finally:
        console.command("go")
    assert text not in console.sent
    wait_until(lambda: console.paused() is False, 60, "it runs again")


@pytest.mark.parametrize("text", ["halt", "reboot"])
def test_rule_08_a_paused_6_is_not_ended(lasting: uml.Instance, to: Make, text: str) -> None:
    console = to(lasting)
    if not console.release().startswith("6."):
        assert console.release().startswith("7.")  # which may: see the contract
        return
    console.command("stop")
    try:
        with pytest.raises(DangerError, match="crashes when it is ended so"):
            console.command(text)
    finally:
        console.command("go")
    assert text not in console.sent
    assert lasting.alive()


# 9. Files that block.


def test_rule_09_a_file_that_blocks_is_not_read(lasting: uml.Instance, to: Make) -> None:
    console = to(lasting)
    for path in ("1/root/dev/tty0", "1/root/dev/urandom", "1/fd/0", "self/root/dev/tty0", "1/root/etc/../dev/tty0"):
        with pytest.raises(DangerError):
            console.proc(path)
    assert console.sent == []


def test_rule_09_a_wedged_worker_is_told_in_time_and_can_be_ended(mortal: uml.Instance, to: Make) -> None:
    console = to(mortal)
    for text in ("proc 1/root/dev/tty0", "version", "config con1", "halt"):
        with in_time(SHORT), pytest.raises(UnansweredError, match="it may have happened"):
            console.command(text, force=True, timeout=SHORT)
    assert console.command("help").ok
    with pytest.raises(DangerError):
        console.command("sysrq o")
    assert console.command("sysrq o", force=True).ok
    mortal.wait_dead()


def test_rule_09_an_endless_file_ends_with_the_time(mortal: uml.Instance, to: Make) -> None:
    start = time.monotonic()
    with contextlib.suppress(UnansweredError):
        assert to(mortal).command("proc 1/root/dev/urandom", force=True, timeout=SHORT).truncated
    assert time.monotonic() - start < SHORT + SLACK


# 10. The end.


def test_rule_10_after_a_halt_nobody_is_there(mortal: uml.Instance, to: Make) -> None:
    to(mortal).command("halt")
    mortal.wait_dead()
    with pytest.raises(NotThereError, match=r"^no instance 'mortal': there is no console at "):
        to(mortal).command("version")


def test_rule_10_a_panic_leaves_a_console_that_is_gone(mortal: uml.Instance, to: Make) -> None:
    with contextlib.suppress(Error):
        to(mortal).command("sysrq c", force=True, timeout=SHORT)
    mortal.wait_dead()
    with pytest.raises(NotThereError, match=r"^the instance 'mortal' is gone: no process listens at "):
        to(mortal).command("version")


def test_rule_10_the_same_console_serves_after_a_reboot(mortal: uml.Instance, to: Make) -> None:
    console = to(mortal)
    assert console.paused() is False
    console.command("reboot")
    mortal.wait_up(boots=2)
    assert console.command("version").ok
    console.command("stop")
    assert console.paused() is True
    console.command("go")


# 11. While it boots.


@pytest.mark.parametrize("series", kernels.wanted())
def test_rule_11_a_booting_instance_is_not_there_and_then_not_ready(
    series: str, launch_guest: Callable[..., uml.Instance], to: Make
) -> None:
    guest = launch_guest("boots", kernel=kernels.path(series), wait=False)
    seen: set[str] = set()

    def ready() -> bool:
        try:
            return to(guest).command("config con1").text == "null"
        except NotThereError:
            seen.add("not there")
        except RefusedError as err:
            seen.add(err.facts["said"])
        return False

    wait_until(ready, uml.BOOT_TIMEOUT, "an answer")
    assert "not there" in seen
    assert seen <= {"not there", OPTION}
    guest.wait_up()


# 12. Notifications.


def test_rule_12_notifications_are_read(launch_guest: Callable[..., uml.Instance], uml_dir: Path, to: Make) -> None:
    """By the collection's own reader, as real kernels send them."""
    path = uml_dir / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(uml.BOOT_TIMEOUT)

        def heard() -> Notification:
            return Notification.from_bytes(listener.recv(4096))

        for series in kernels.wanted():
            guest = launch_guest("tells", kernel=kernels.path(series), notify=path)
            assert heard() == Notification("socket", f"{guest.console}\0".encode())
            assert heard() == Notification("user", b"up\n")
            guest.guest("printf 'a\\000\\377' > /proc/mconsole")
            assert heard() == Notification("user", b"a\0\xff")
            with contextlib.suppress(Error):
                to(guest).command("sysrq c", force=True, timeout=SHORT)
            assert heard() == Notification("panic", b"sysrq triggered crash\0")
            guest.wait_dead()
            guest.close()


# Users.


@pytest.fixture(scope="module")
def owner(make_user: Callable[..., str]) -> str:
    """Return an ordinary user who owns instances."""
    return make_user("owner")


@pytest.fixture
def theirs(owner: str, launch_guest: Callable[..., uml.Instance]) -> uml.Instance:
    """Return an instance of the ordinary user's, with a large file in it."""
    guest = launch_guest("theirs", user=owner)
    guest.guest(f"yes 0123456 | head -n {BIG // 16} > /root/big")
    return guest


def told(instance: uml.Instance) -> tuple[bool | None, int]:
    """Return whether an instance is paused and how long its large file is, as this user sees it."""
    with contextlib.closing(ReplySockets()) as sockets:
        console = Console(str(instance.console), sockets=sockets)
        return console.paused(), len(console.proc("1/root/root/big") or "")


def test_users_root_is_answered_by_the_instance_of_another(theirs: uml.Instance) -> None:
    assert told(theirs) == (False, BIG // 2)


def test_users_the_owner_is_answered(theirs: uml.Instance, owner: str) -> None:
    uid = pwd.getpwnam(owner).pw_uid
    assert as_user(uid, lambda: told(theirs)) == (False, BIG // 2)


def test_users_a_stranger_is_not_allowed(theirs: uml.Instance) -> None:
    with pytest.raises(NotAllowedError, match=r"^not allowed to use the console of 'theirs' at "):
        as_user(SOMEBODY_ELSE, lambda: told(theirs))


def test_users_a_stranger_is_not_allowed_with_root_s_either(lasting: uml.Instance) -> None:
    """Nor may a stranger so much as see it: its folder is pytest's own."""
    with pytest.raises(NotAllowedError):
        as_user(SOMEBODY_ELSE, lambda: told(lasting))


def test_nothing_is_left_of_all_this(sockets: ReplySockets) -> None:
    assert list(Path(sockets.directory).glob(f"r{os.getpid()}-*")) == []  # another client may have removed it whole
