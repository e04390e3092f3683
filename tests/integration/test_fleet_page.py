# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook fleet_page: a real fleet behind real ssh, and its page, like those of larger ones, in a real browser."""

from __future__ import annotations

import contextlib
import html
import os
import re
import socket
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.uml.mconsole.plugins.plugin_utils import _output_file, _page, _page_model
from ansible_collections.uml.mconsole.plugins.plugin_utils._instance_rows import Answer
from ansible_collections.uml.mconsole.plugins.plugin_utils._page_server import PageServer
from support import ansible, browser, fleets, uml
from support import guest as guests
from support.browser import Browser
from support.events import Collecting, collecting
from support.paths import CHECKOUT
from support.vmhost import VmHost
from support.wait import wait_until

SAID = "<b onclick=x>{{ 7 * 7 }}</b>"
PHONE, TABLET, DESKTOP = 360, 800, 1280
FLEETS = {
    "none": [],
    "silent": [fleets.silent("vm1")],
    "one": fleets.fleet(1, 1),
    "twenty": fleets.fleet(20),
    "many": fleets.fleet(150, 4),
    "hostile": fleets.hostile(20),
}


@dataclass
class Lab:
    """Two VM hosts that answer and one that does not; ``instances`` by name."""

    collector: Collecting
    home: Path
    bridge: str
    vm_hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    instances: dict[str, uml.Instance] = field(default_factory=dict)

    def instance_hosts(self) -> dict[str, dict[str, Any]]:
        """Return the inventory in which instances are hosts, one that is not there among them."""
        names = {"web0": "vm1", "web1": "vm1", "crash": "vm1", "db0": "vm2", "nobody": "vm2"}
        way = {"ansible_connection": "uml.mconsole.mconsole"}
        return {umid: {**self.vm_hosts[vm_host], **way} for umid, vm_host in names.items()}

    def page(self, dest: Path, inventory: dict[str, Any] | None = None, **options: Any) -> tuple[bool, str]:
        """Run the playbook; return whether it says that it changed the page, and what is in that then."""
        options.setdefault("env", {"ANSIBLE_STRATEGY": "host_pinned"})  # the playbook has its own
        words = ["-e", f"fleet_page_dest={dest}", "-e", f"fleet_page_journal_dir={self.collector.directory}"]
        hosts = inventory or self.vm_hosts
        done = ansible.run_playbook("uml.mconsole.fleet_page", hosts, home=self.home, extra_args=words, **options).ok()
        (written,) = [task for task in done.tasks if task.task == "Write the page"]
        assert f'"msg": "{dest}"' in done.stdout or f"msg: {dest}" in done.stdout
        self.diff = written.result.get("diff")
        return written.changed, dest.read_text() if dest.exists() else ""


@pytest.fixture(scope="module")
def bridge() -> Iterator[str]:
    """Yield a bridge with two taps, called as it is with a number behind."""
    name = f"uf{os.getpid()}"
    with contextlib.ExitStack() as stack:
        for words in (
            ["link", "add", name, "type", "bridge"],
            *(["tuntap", "add", f"{name}{n}", "mode", "tap"] for n in "01"),
        ):
            subprocess.run(["ip", *words], check=True)
            made = words[2]
            stack.callback(subprocess.run, ["ip", "link", "del", made], check=True)
            if made != name:
                subprocess.run(["ip", "link", "set", made, "master", name], check=True)
        yield name


@pytest.fixture(scope="module")
def lab(bridge: str, make_vm_host: Callable[..., VmHost], make_user: Callable[..., str]) -> Iterator[Lab]:
    """Yield a fleet with a shared backing file, a bridge, a pause, and a panic that a collector saw."""
    with contextlib.ExitStack() as stack:
        mine, theirs, home = (
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="uml."))) for _folder in "123"
        )
        found = Lab(stack.enter_context(collecting(mine)), home, bridge)
        found.collector()
        user = make_user("vm2")
        hosts = {"vm1": (make_vm_host(), mine), "vm2": (make_vm_host(user), theirs)}
        for name, (host, uml_dir) in hosts.items():
            uml_dir.chmod(0o755)
            found.vm_hosts[name] = {**host.inventory_vars(), "ansible_uml_dir": str(uml_dir)}
        found.vm_hosts["vm3"] = {"ansible_host": "127.0.0.1", "ansible_port": 1}
        base = guests.ext4_image(mine / "golden.img")

        def launch(umid: str, uml_dir: Path, *words: str, **options: Any) -> uml.Instance:
            found.instances[umid] = uml.launch(umid, uml_dir, "ubd0=/dev/null", *words, **options)
            stack.callback(found.instances[umid].close)
            return found.instances[umid]

        for number in "01":
            words = [f"ubd1={mine}/web{number}.cow,{base}", f"vec0:transport=tap,ifname={bridge}{number}"]
            launch(f"web{number}", mine, *words, notify=found.collector.notify)
        launch("db0", theirs, user=user)
        crash = launch("crash", mine, notify=found.collector.notify)
        found.instances["web0"].guest("ip link set vec0 up; hostname '<i>evil</i>'")
        found.instances["web0"].guest(f"echo '{SAID}' > /proc/mconsole")
        found.instances["web1"].request("stop")
        with contextlib.suppress(TimeoutError):
            crash.request("sysrq c", timeout=0.2)
        for kind, umid in (("crashed", "crash"), ("message", "web0"), ("paused", "web1")):
            found.collector.wait(kind, umid, "<b" if kind == "message" else "")
        yield found
        ansible.close_connections(home)


def words(page: str) -> str:
    """Return what a page says, a space between one part and the next."""
    body = re.sub(r"<desc.*?</desc>", "", page[page.index("<body>") :])
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


@pytest.fixture(scope="module")
def real(lab: Lab) -> Path:
    """Return the page of the VM hosts, which check mode has foretold."""
    dest = lab.home / "fleet.html"
    assert lab.page(dest, check=True) == (True, "")
    assert lab.page(dest)[0]
    return dest


def test_the_page_of_vm_hosts(lab: Lab, real: Path) -> None:
    page = real.read_text()
    said = words(page)
    assert "VM hosts, 1 silent 3 instances 4" in said
    assert "2 running 1 paused 1 stale" in said
    assert "unreachable vm3 it does not answer" in said
    assert "Connection refused" in said
    assert "copy-on-write 8 MB web0 ubd1 web0.cow web1 ubd1 web1.cow" in said
    assert f"{lab.bridge} vm1 bridge web0 vec0 {lab.bridge}0 web1 vec0 {lab.bridge}1 (not up)" in said
    assert f"On the bridge {lab.bridge}: web0, web1." in page
    assert "web0 calls itself <i>evil</i> running" in said
    assert "crash on vm1 critical panic sysrq triggered crash" in said
    assert f"message {SAID}" in said
    assert "<b onclick" not in page


def test_the_page_of_instances(lab: Lab, tmp_path: Path) -> None:
    _changed, page = lab.page(tmp_path / "fleet.html", lab.instance_hosts())
    said = words(page)
    assert "VM hosts 2 instances 5" in said
    assert "absent nobody" in said
    assert "copy-on-write 8 MB web0 ubd1 web0.cow web1 ubd1 web1.cow" in said
    assert f"{lab.bridge} 127.0.0.1:" in said
    assert said.count("critical panic sysrq triggered crash") == 1


def test_a_page_is_changed_when_there_is_something_new_and_only_then(lab: Lab, real: Path) -> None:
    """Other work of the machine changes loads and memory, so the test waits until the fleet is at rest."""

    def same() -> bool:
        before = real.read_text()
        changed, after = lab.page(real)
        assert changed == (before != after)
        return not changed

    wait_until(same, 240, "a second look that finds the same")
    before = real.read_text()
    lab.instances["web1"].request("go")
    try:
        assert lab.page(real, check=True, diff=True) == (True, before)
    finally:
        lab.instances["web1"].request("stop")
    assert lab.diff["before"] == before
    assert lab.diff["after"].count("#is-bars") < before.count("#is-bars")


# In a browser


@pytest.fixture(scope="module")
def web() -> Iterator[Browser]:
    """Yield a browser."""
    with browser.browser() as found:
        yield found


def page_of(answers: list[Answer]) -> str:
    """Return the page of a fleet that is not there."""
    return _page.render(CHECKOUT / "playbooks" / "templates", _page_model.build(answers), "Fleet", 0.0)


def write(answers: list[Answer], folder: Path) -> Path:
    """Write the page of a fleet that is not there, at once as the playbook does."""
    path = folder / "fleet.html"
    _output_file.replace(path, page_of(answers))
    return path


WIDTHS = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
# What sticks out of the window to the right, or has text that is hard to read on what is behind it.
STICKING_OUT = """[...document.querySelectorAll('body *')].filter(each => !each.closest('.symbols, thead')
    && each.getClientRects().length && each.getBoundingClientRect().right > innerWidth + 1)
    .map(each => each.tagName + ' ' + each.textContent.slice(0, 40))"""
PALE = """(() => {
    const parts = text => text.match(/[\\d.]+/g).map(Number);
    const light = rgb => { const [r, g, b] = rgb.slice(0, 3).map(each => each / 255)
        .map(each => each <= .04045 ? each / 12.92 : ((each + .055) / 1.055) ** 2.4);
        return .2126 * r + .7152 * g + .0722 * b; };
    const behind = each => { for (; each; each = each.parentElement) {
        const rgb = parts(getComputedStyle(each).backgroundColor); if (rgb[3] !== 0) return rgb; } };
    return [...document.querySelectorAll('body *')].filter(each => !each.closest('svg') && each.getClientRects().length
        && [...each.childNodes].some(node => node.nodeType === 3 && node.textContent.trim()))
        .map(each => { const [a, b] = [light(parts(getComputedStyle(each).color)), light(behind(each))];
            return [(Math.max(a, b) + .05) / (Math.min(a, b) + .05), each.outerHTML.slice(0, 80)]; })
        .filter(([ratio]) => ratio < 4.5); })()"""


@pytest.mark.parametrize("name", FLEETS)
def test_any_page_fits_any_window_and_fetches_nothing(web: Browser, name: str, tmp_path: Path) -> None:
    path = write(FLEETS[name], tmp_path)
    for width in (PHONE, TABLET, DESKTOP):
        web.open(path, width)
        whole, window = web.value(WIDTHS)
        assert whole == window <= width, width
        assert web.value(STICKING_OUT) == [], width
        assert web.fetched() == [path.as_uri()]
        assert web.complaints() == []


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_can_be_read_by_day_and_by_night(web: Browser, dark: bool, tmp_path: Path) -> None:
    web.open(write(FLEETS["twenty"], tmp_path), DESKTOP, dark)
    red, green, blue = web.value("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (red + green + blue < 120) == dark
    assert web.value(PALE) == []


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_a_screen_reader_finds_tables_headings_and_drawings(web: Browser, width: int, tmp_path: Path) -> None:
    web.open(write(FLEETS["twenty"], tmp_path), width)
    roles = web.roles()
    assert {"Fleet", "Needs attention", "VM hosts", "vm1.example.org", "Last events"} <= set(roles["heading"])
    assert len(roles["table"]) == 5
    assert {"cache1", "web5", "golden.img /images/golden.img", "br0"} <= set(roles["rowheader"])
    assert {"Instance", "State", "Memory", "Used by", "Members", "When"} <= set(roles["columnheader"])
    drawings = sorted(name for name in roles["image"] if name)
    assert [name.split(",")[0] for name in drawings] == [f"vm{number}.example.org: 10 instances" for number in "12"]


def test_the_page_of_the_real_fleet_works_on_a_phone(web: Browser, real: Path) -> None:
    web.open(real, PHONE, dark=True)
    assert web.value(WIDTHS) == [PHONE, PHONE]
    assert web.value("document.title") == "Fleet"
    assert (web.fetched(), web.complaints()) == ([real.as_uri()], [])
    assert web.value("document.querySelectorAll('i, [onclick], script').length") == 0


# Live


@pytest.fixture
def live(web: Browser, tmp_path: Path) -> Iterator[PageServer]:
    """Provide a server of the page of twenty instances."""
    path = write(FLEETS["twenty"], tmp_path)
    server = PageServer(("127.0.0.1", 0), path, (CHECKOUT / "playbooks" / "templates" / "live_page.js").read_text())
    server.looked_now()
    server.start()
    yield server
    web.open("about:blank")  # or the page would miss its server
    server.shutdown()
    server.server_close()


def seen(web: Browser, expression: str, value: Any) -> None:
    """Wait until an expression has a value on the page."""
    wait_until(lambda: web.value(expression) == value, 60, lambda: f"{expression}: {web.value(expression)!r}")


ROWS = "[...document.querySelectorAll('#instances ~ details tbody tr')].filter(row => !row.closest('[hidden]')).length"
NOTE = "document.querySelector('footer [role=status]').textContent.slice(0, 14)"


def test_an_open_page_follows_the_fleet(web: Browser, live: PageServer, tmp_path: Path) -> None:
    """Without a reload; the place of the reader, and what is open and filtered, stays."""
    web.open(live.url, DESKTOP)
    seen(web, NOTE, "Last looked at")
    web.value("window.mark = 1; document.querySelector('details').open = false; window.scrollTo(0, 300); 0")
    web.value("document.querySelector('#filter').value = 'web1'; 0")
    write(fleets.fleet(40), tmp_path)
    seen(web, "document.querySelectorAll('#instances ~ details tbody tr').length", 40)
    assert web.value("[window.mark, document.querySelector('details').open, window.scrollY]") == [1, False, 300]
    assert 0 < web.value(ROWS) < 40
    web.value("document.querySelector('#filter').value = ''; sift(); 0")
    assert web.value(ROWS) == 40
    live.looked_now("no route")
    seen(web, "document.querySelector('footer').textContent.includes('The last look failed.')", True)
    assert web.complaints() == []


def test_markup_of_a_guest_does_not_run_on_a_live_page(web: Browser, live: PageServer, tmp_path: Path) -> None:
    """Even if the template let it through: in the first page, and in contents that come later."""
    evil = "<script>window.owned = 1</script><img src=x onerror='window.owned = 2'><b onclick='window.owned = 3'>b</b>"
    path = tmp_path / "fleet.html"
    harmless = path.read_text()
    for sight in (1, 2):
        path.write_text(harmless.replace("</main>", f"{evil}<i id=came{sight}></i></main>"))
        if sight == 1:
            web.open(live.url, DESKTOP)
        seen(web, f"document.querySelector('#came{sight}') !== null && {NOTE} == 'Last looked at'", True)
        web.value("document.querySelector('main b[onclick]').click(); 0")
        assert web.value("window.owned === undefined")
    path.write_text(page_of(fleets.hostile(20)))
    seen(web, "document.querySelector('#came2')", None)
    assert web.value("document.querySelectorAll('main script, main img, [onclick]').length") == 0


def test_the_live_page_of_the_real_fleet(lab: Lab) -> None:
    """The playbook asks the fleet, serves its page, and ends when its time is over."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    given = {"port": port, "seconds": 60, "every": 1, "title": "Live", "journal_dir": lab.collector.directory}
    options = [word for key, value in given.items() for word in ("-e", f"live_page_{key}={value}")]

    def served() -> str:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
            return str(answer.read().decode())
        return ""

    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(
            ansible.run_playbook, "uml.mconsole.live_page", lab.vm_hosts, home=lab.home, extra_args=options
        )
        page = wait_until(lambda: served() or run.done(), 240, "the page")
        done = run.result().ok()
    assert isinstance(page, str), done
    assert "VM hosts, 1 silent 3 instances 4" in words(page)
    assert "<title>Live</title>" in page
    (task,) = [task for task in done.tasks if task.task == "Serve the page"]
    assert task.result["looks"] >= 1
    assert served() == ""


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_a_live_page_of_five_hundred_fits(web: Browser, live: PageServer, tmp_path: Path, width: int) -> None:
    write(fleets.fleet(500, 4), tmp_path)
    web.open(live.url, width)
    seen(web, NOTE, "Last looked at")
    web.value("document.querySelectorAll('details').forEach(part => { part.open = true; }); 0")
    assert web.value(ROWS) == 500
    whole, window = web.value(WIDTHS)
    assert whole == window <= width
    assert web.complaints() == []
