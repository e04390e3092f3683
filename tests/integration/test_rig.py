# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rig itself: if these fail, no other integration test means anything."""

from __future__ import annotations

import pytest

from support import ansible, processes, vmhost
from support import guest as guests


def test_a_guest_boots_and_answers(guest):
    error, text = guest.request("version")
    assert error == 0
    assert text.startswith("Linux guest ")


def test_a_command_runs_inside_the_guest(guest):
    assert guest.guest("hostname").strip() == "guest"
    assert guest.guest_status("echo no >&2; exit 3") == (3, "no\n")
    with pytest.raises(AssertionError, match="ended with 1"):
        guest.guest("false")


def test_a_hanging_command_holds_up_no_other(guest):
    with pytest.raises(AssertionError, match="not within"):
        guest.guest("sleep 60", timeout=0.3)
    assert guest.guest("echo alive") == "alive\n"


def test_the_guest_boots_from_an_image_and_writes_to_it(launch_guest, uml_dir):
    image = guests.copy_root_image(uml_dir / "root.ext4")
    extra = guests.ext4_image(uml_dir / "data.ext4", {"folder/note": "kept"})
    guest = launch_guest("disk", f"ubd1={extra}", root=image)
    guest.guest("touch /written && sync")
    assert guest.guest("mount /dev/ubdb /mnt && cat /mnt/folder/note") == "kept"


def test_two_guests_share_a_uml_dir(launch_guest):
    guests = [launch_guest(umid) for umid in ("one", "two")]
    assert [guest.guest("hostname").strip() for guest in guests] == ["one", "two"]


def test_a_guest_comes_up_again_after_a_reboot(guest):
    assert guest.request("reboot") == (0, "")
    guest.wait_up(boots=2)
    assert guest.guest("hostname").strip() == "guest"


def test_cad_can_power_the_guest_off(launch_guest):
    guest = launch_guest("off", "cad=poweroff")
    assert guest.request("cad") == (0, "")
    guest.wait_dead()


def test_a_kill_leaves_no_process_and_a_stale_folder(guest):
    guest.kill()
    assert processes.of_session(guest.pid) == []
    assert not guest.alive()
    assert (guest.directory / "pid").read_text() == f"{guest.pid}\n"


def test_a_missing_kernel_is_an_error(monkeypatch, launch_guest):
    monkeypatch.setenv("UML_KERNEL", "/nonexistent/linux")
    with pytest.raises(RuntimeError, match=r"/nonexistent/linux.*tools/setup"):
        launch_guest()


def test_a_kernel_that_dies_is_reported_with_its_log(launch_guest):
    with pytest.raises(AssertionError, match=r"(?s)ended with.*(Too few|panic)"):
        launch_guest("small", memory="16M")


def test_a_vm_host_answers_ansible(vm_host):
    run = ansible.adhoc("here", "ansible.builtin.ping", "", {"here": vm_host.inventory_vars()}).ok()
    assert run.only("here").result["ping"] == "pong"


def test_a_playbook_returns_what_each_task_said(vm_host):
    tasks = [
        {"name": "First", "ansible.builtin.command": "true"},
        {"name": "Second", "ansible.builtin.command": "false", "ignore_errors": True},
        {"name": "Third", "ansible.builtin.command": "true", "when": False},
    ]
    play = {"hosts": "all", "gather_facts": False, "tasks": tasks}
    run = ansible.run_playbook([play], {"here": vm_host.inventory_vars()}).ok()
    assert run.task("here", "First").changed
    assert run.task("here", "First").duration > 0
    assert run.task("here", "Second").failed
    assert run.task("here", "Second").ignored
    assert run.task("here", "Third").skipped


def test_a_vm_host_that_is_down_is_unreachable(make_vm_host):
    host = make_vm_host()
    host.stop()
    run = ansible.adhoc("here", "ansible.builtin.ping", "", {"here": host.inventory_vars()})
    assert run.only("here").unreachable
    host.start()
    ansible.adhoc("here", "ansible.builtin.ping", "", {"here": host.inventory_vars()}).ok()


def test_a_run_leaves_no_process_on_the_vm_host(make_vm_host):
    host = make_vm_host()
    ansible.adhoc("here", "ansible.builtin.ping", "", {"here": host.inventory_vars()}).ok()
    assert host.started() == []


def test_a_detached_process_ends_with_its_vm_host():
    with vmhost.VmHost() as host:
        host.ssh("setsid sleep 1000 </dev/null >/dev/null 2>&1 &")
        (pid,) = host.started()
    assert pid not in [process.pid for process in processes.running()]


def test_an_instance_belongs_to_another_user(launch_guest, make_user, make_vm_host, uml_dir):
    owner = make_user("owner")
    login = make_user("login", may_become=(owner,))
    guest = launch_guest("owned", uml_dir=uml_dir / "owned", user=owner)
    host = make_vm_host(user=login)
    assert guest.console.owner() == owner
    variables = {**host.inventory_vars(), "ansible_pipelining": True, "ansible_become_user": owner}
    run = ansible.adhoc("here", "ansible.builtin.command", "id -un", {"here": variables}, extra_args=["--become"])
    assert run.ok().only("here").result["stdout"] == owner
