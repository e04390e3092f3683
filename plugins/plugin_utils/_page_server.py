# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Serve the page of a fleet, and let open pages follow it without a reload.

The page on the disk stays as it is, without a script. Only the served page has one: it fetches the page again and puts
the new contents in the place of the old. Its policy allows that script alone, by its hash, so text of a guest that got
into the page as markup would still not run.
"""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PAGE, CONTENTS = "/", "/contents"
_POLICY = re.compile(r"default-src 'none'; ")
_LONGEST_REQUEST = 10.0  # seconds
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class PageServer(ThreadingHTTPServer):
    """Serves one file to browsers of this machine; others reach it only where the user says so."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], page: Path, script: str) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)
        self.page, self.script = page, script
        self.digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        self.looked = 0.0  # when the fleet was asked last, in seconds since 1970
        self.error = ""  # why the last attempt failed

    @property
    def url(self) -> str:
        """Return the address for a browser."""
        host, port = self.server_address[:2]
        return f"http://[{host!s}]:{port}/" if ":" in str(host) else f"http://{host!s}:{port}/"

    def start(self) -> None:
        """Serve in the background until the program ends."""
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def looked_now(self, error: str = "") -> None:
        """Note that the fleet was asked, and whether it worked."""
        self.error = error
        if not error:
            self.looked = time.time()

    def live(self, text: str) -> str:
        """Return a page with the script, which its policy allows together with requests to this server."""
        allowed = f"default-src 'none'; script-src 'sha256-{self.digest}'; connect-src 'self'; "
        page = _POLICY.sub(allowed, text, count=1)
        return page.replace("</body>", f"<script>{self.script}</script></body>", 1)


class _Handler(BaseHTTPRequestHandler):
    """Answers GET of the page, and of its contents for a page that is open."""

    server: PageServer
    protocol_version = "HTTP/1.1"
    timeout = _LONGEST_REQUEST

    def do_GET(self) -> None:
        """Answer one request."""
        if not self._is_meant():
            self._send(421, "this server has another name")
        elif self.path == PAGE:
            text = self._text()
            self._send(200 if text else 503, self.server.live(text) if text else "the fleet is asked; load again", text)
        elif self.path == CONTENTS:
            self._contents()
        else:
            self._send(404, "there is only one page, at /")

    def _contents(self) -> None:
        text = self._text()
        tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
        known = self.headers.get("If-None-Match") == tag
        self._send(304 if known else 200, "" if known else text, text, {"ETag": tag})

    def _is_meant(self) -> bool:
        """Return whether the request names this server, and not a name that another site lets point here."""
        own, port = self.server.server_address[:2]
        if str(own) not in ("127.0.0.1", "::1"):
            return True
        return self.headers.get("Host", "") in {f"{name}:{port}" for name in ("localhost", "127.0.0.1", "[::1]")}

    def _text(self) -> str:
        try:
            return self.server.page.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def _send(self, status: int, text: str, page: str = "", more: dict[str, str] | None = None) -> None:
        data = text.encode()
        self.send_response(status)
        state = {"X-Looked": f"{self.server.looked:.0f}", "X-Failed": "1" if self.server.error else "0"}
        kind = "text/html" if page else "text/plain"
        for name, value in {**_HEADERS, **state, **(more or {}), "Content-Type": f"{kind}; charset=utf-8"}.items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if status != 304:
            self.wfile.write(data)

    def version_string(self) -> str:
        """Return no versions."""
        return "uml.mconsole"

    def log_message(self, *_words: Any) -> None:
        """Write nothing: the terminal is the playbook's."""
