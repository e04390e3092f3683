# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Memory taken from a guest and given back, by what the guest and the VM host show; on each kernel."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._mconsole import dangers
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.console import Console
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import DangerError
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.reply_sockets import ReplySockets
from support import devices, kernels, uml
from support.run_operation import operate
from support.wait import wait_until

MIB = 1 << 20
BOOT = 160
TOLERANCE = 4


@pytest.fixture(scope="module", params=kernels.wanted())
def machine(request) -> Iterator[uml.Instance]:
    """Yield one instance of each kernel to all tests of this file."""
    with devices.machine(request.param, memory=f"{BOOT}M") as instance:
        yield instance


@pytest.fixture
def guest(machine) -> Iterator[uml.Instance]:
    """Give back what a test took."""
    yield machine
    machine.request("config mem=+1G")
    machine.guest("rm -f /tmp/fill; true")
    assert machine.alive()


@pytest.fixture
def memory(guest) -> Callable[..., dict[str, Any]]:
    """Run the operation on the instance under test."""
    return lambda check=False, **params: operate("memory", check, umid="guest", uml_dir=str(guest.uml_dir), **params)


def free(guest: uml.Instance) -> int:
    """Return the guest's free memory in MiB, with what the processors have on their lists."""
    listed = sum(map(int, re.findall(r"count: (\d+)", guest.guest("cat /proc/zoneinfo"))))
    (known,) = re.findall(r"MemFree: +(\d+) kB", guest.guest("cat /proc/meminfo"))
    return (int(known) + 4 * listed) // 1024


def reached(result: dict[str, Any], size: int) -> bool:
    """Return whether a result says that the size was reached, and is not contradicted by itself."""
    assert not result.get("failed"), result
    return result["verified"] and abs(result["size"] - size * MIB) <= TOLERANCE * MIB


def test_an_untouched_guest_has_all_that_it_was_booted_with(memory):
    for size in (f"{BOOT}M", "max"):
        found = memory(size=size)
        assert reached(found, BOOT)
        assert not found["changed"]
        assert found["memory"]["boot"] == BOOT * MIB


def test_memory_is_taken_once_and_given_back_once(memory, guest):
    before = free(guest)
    foretold = memory(check=True, size="120M")
    assert foretold["commands"] == ["config mem=-40960K"]
    assert foretold["diff"]["after"] == {"size": 120 * MIB}
    assert abs(free(guest) - before) < 4
    taken = memory(size="120M")
    assert taken["commands"] == foretold["commands"]
    assert taken["changed"]
    assert reached(taken, 120)
    assert 36 <= before - free(guest) <= 44
    again = memory(size="120M")
    assert not again["changed"]
    assert again["commands"] == []
    assert reached(again, 120)
    some = memory(size="140M")
    assert some["commands"] == ["config mem=+20480K"]
    assert reached(some, 140)
    back = memory(size="max")
    assert back["changed"]
    assert reached(back, BOOT)
    assert before - free(guest) <= 4
    assert not memory(size="max")["changed"]


def test_what_is_taken_goes_back_to_the_vm_host(memory, guest):
    guest.guest("mount -o remount,size=95% /tmp && dd if=/dev/zero of=/tmp/fill bs=1M count=95 && rm /tmp/fill")
    before = memory(size="max")["memory"]["resident"]
    after = memory(size="110M")["memory"]["resident"]
    assert before - after > 10 * MIB  # the rest had never been used, so the VM host never gave it


def test_a_guest_that_works_does_not_look_smaller(memory, guest):
    memory(size="130M")
    guest.guest(
        "dd if=/dev/zero of=/tmp/fill bs=1M count=20; for n in 1 2 3 4 5; do sleep 30 | sleep 30 & done; find / -xdev"
    )
    assert not memory(size="130M")["changed"]


def test_a_guest_full_of_caches_drops_them(memory, guest):
    with tempfile.NamedTemporaryFile(prefix="uml.big.") as image:
        image.truncate(120 * MIB)
        assert guest.request(f"config ubd1={image.name}") == (0, "")
        guest.guest("setsid sh -c 'echo $$ > /tmp/holder; exec sleep 1000 </dev/ubdb' >/dev/null 2>&1 &")
        guest.guest("while ! [ -s /tmp/holder ]; do :; done; dd if=/dev/ubdb of=/dev/null bs=1M")
        assert free(guest) < 40
        taken = memory(size="100M")
        assert reached(taken, 100)
        assert len(taken["commands"]) > 1
        guest.guest("kill $(cat /tmp/holder); rm /tmp/holder")
        wait_until(lambda: guest.request("remove ubd1")[0] == 0, 60, "disk removed")


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"size": "1G"}, "was booted with 160.0 MiB and cannot have 1024.0 MiB"),
        ({"size": "8M"}, "are to stay (reserve)"),
        ({"size": "100M", "reserve": "1M"}, "a guest with less than 4.0 MiB available can panic, so give 4M or more"),
        ({"size": "100M", "reserve": "150M"}, "150.0 MiB are to stay (reserve)"),
        ({"size": "lots"}, "'lots' is not a size"),
        ({"size": "-8M"}, "'-8M' is not a size"),
        ({"size": "64XB"}, "'64XB' is not a size"),
        ({"size": "100M", "tolerance": "some"}, "'some' is not a size"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_before_anything_is_taken(memory, guest, params, said):
    before = free(guest)
    for check in (True, False):
        refused = memory(check=check, **params)
        assert refused["failed"]
        assert said in refused["msg"]
        assert refused["commands"] == []
    assert abs(free(guest) - before) < 4


def test_a_paused_guest_is_left_alone_or_paused_again(memory, guest):
    assert guest.request("stop")[0] == 0
    try:
        assert "is paused" in memory(size="120M")["msg"]
        done = memory(size="120M", resume=True)
        assert done["commands"] == ["go", "config mem=-40960K", "stop"]
        assert reached(done, 120)
        assert guest.request("stop") == (1, "Already stopped")
    finally:
        guest.request("go")


def test_a_partial_change_is_told_with_the_size_that_was_reached(memory, guest):
    guest.guest("dd if=/dev/zero of=/tmp/fill bs=1M count=60")  # not to be dropped
    available = memory(check=True, size="max")["memory"]["available"] // MIB
    wanted = BOOT - available + 6
    partial = memory(size=f"{wanted}M", reserve="5M", tolerance="64K")
    if partial.get("failed"):
        assert not partial["verified"]
        assert partial["error"]["kind"] in ("unverified", "danger")
        assert abs(partial["size"] - partial["memory"]["size"]) == 0
    else:
        assert reached(partial, wanted)
    assert guest.guest("echo alive") == "alive\n"


def test_a_guest_s_last_memory_is_not_taken(guest):
    """The kernel would say OK, take all there is, and panic; at the floor the guest still starts processes."""
    path = str(guest.console)
    sockets = ReplySockets()
    try:
        console = Console(path, sockets=sockets)
        with pytest.raises(DangerError, match="deadlocked on memory"):
            console.command("config mem=-1G")
        assert not [text for text in console.sent if text.startswith("config mem=-")]
        left = dangers.available(console.proc("meminfo"), console.proc("zoneinfo")) - dangers.MEMORY_FLOOR
        console.command(f"config mem=-{(left >> 20) - 2}M")
        assert int(guest.guest("ls -R /bin /sys/class /proc/sys | sort | wc -l")) > 1000
        with pytest.raises(DangerError):
            console.command("config mem=-4M")
    finally:
        sockets.close()
