# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The server of the live page, over real HTTP."""

from __future__ import annotations

import http.client
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.uml.mconsole.plugins.plugin_utils import _page, _page_model
from ansible_collections.uml.mconsole.plugins.plugin_utils._page_server import PageServer
from support import fleets
from support.paths import CHECKOUT

PLAYBOOKS = CHECKOUT / "playbooks"
SCRIPT = PLAYBOOKS / "templates" / "live_page.js"


def page(*answers: Any) -> str:
    """Return the page of a fleet."""
    return _page.render(PLAYBOOKS / "templates", _page_model.build(answers), "Fleet", 0.0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PageServer]:
    """Provide a server of the page of one instance."""
    path = tmp_path / "fleet.html"
    path.write_text(page(*fleets.fleet(1, 1)), encoding="utf-8")
    found = PageServer(("127.0.0.1", 0), path, SCRIPT.read_text())
    found.start()
    yield found
    found.shutdown()
    found.server_close()


def get(server: PageServer, path: str = "/", method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
    """Return the status, the headers and the text of one answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=60)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    finally:
        connection.close()


def test_the_page_has_its_one_script_and_a_policy_that_allows_no_other(server: PageServer) -> None:
    status, headers, text = get(server)
    assert (status, headers["Cache-Control"], headers["X-Frame-Options"]) == (200, "no-store", "DENY")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert policy[1].startswith(f"default-src 'none'; script-src 'sha256-{server.digest}'; connect-src 'self'; ")
    assert "unsafe" not in policy[1]
    assert text.count("<script>") == 1
    assert "<script" not in server.page.read_text()


def test_contents_come_once_and_again_when_they_differ(server: PageServer) -> None:
    _status, headers, text = get(server, "/contents")
    assert text == server.page.read_text()
    assert get(server, "/contents", If_None_Match=headers["ETag"])[::2] == (304, "")
    server.page.write_text(page(*fleets.fleet(2, 1)), encoding="utf-8")
    assert get(server, "/contents", If_None_Match=headers["ETag"])[::2] == (200, server.page.read_text())


def test_a_failed_look_is_said_and_the_page_stays(server: PageServer) -> None:
    server.looked_now()
    first = get(server, "/contents")[1]
    assert (first["X-Failed"], first["X-Looked"]) == ("0", f"{server.looked:.0f}")
    server.looked_now("no route to vm1")
    status, headers, _text = get(server, "/contents")
    assert (status, headers["X-Failed"], headers["X-Looked"]) == (200, "1", first["X-Looked"])


@pytest.mark.parametrize("host", ["evil.example.org", "evil.example.org:80", "", "127.0.0.1"])
def test_another_name_for_this_machine_is_refused(server: PageServer, host: str) -> None:
    """As a site that lets its name point here would use it, to read the page with its visitor's browser."""
    assert get(server, Host=host)[::2] == (421, "this server has another name")


@pytest.mark.parametrize(("method", "status"), [("POST", 501), ("PUT", 501), ("DELETE", 501), ("HEAD", 501)])
def test_it_only_reads(server: PageServer, method: str, status: int) -> None:
    assert get(server, method=method)[0] == status


@pytest.mark.parametrize("path", ["/../../etc/passwd", "//etc/passwd", "/fleet.html", "/?x", "/contents/"])
def test_there_is_nothing_but_the_page(server: PageServer, path: str) -> None:
    assert get(server, path)[0] == 404


def test_without_a_page_it_says_so(server: PageServer) -> None:
    server.page.unlink()
    assert get(server)[0] == 503


def test_a_port_in_use_is_named(server: PageServer) -> None:
    spec = importlib.util.spec_from_file_location("uml_live", PLAYBOOKS / "action_plugins" / "uml_live.py")
    assert spec is not None
    assert spec.loader is not None
    action = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(action)
    port = server.server_address[1]
    with pytest.raises(AnsibleActionFail, match=f"port {port} of 127.0.0.1 cannot be used: Address already in use"):
        action._server({"listen": "127.0.0.1", "port": port}, server.page)
    sources = {"ansible_inventory_sources": ["/a b.yml", "/c"], "ansible_limit": "web*", "ansible_forks": 7}
    words = action.command_of({"fleet_page_title": "A", "fleet_page_events": None}, Path("/p"), sources)
    assert words[1:-1] == ["-i", "/a b.yml", "-i", "/c", "--limit", "web*", "-f", "7", "uml.mconsole.fleet_page", "-e"]
    assert words[-1] == '{"fleet_page_title": "A", "fleet_page_dest": "/p"}'
