# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A headless Chromium that is asked over a pipe: how a page looks, what it fetches, what a screen reader finds."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support import processes

TIMEOUT = 120.0  # seconds for one answer: other tests keep the machine busy
WORDS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
WORDS += ["--disable-component-update", "--no-first-run", "--disable-dev-shm-usage", "--remote-debugging-pipe"]


class Browser:
    """One Chromium with one page (the DevTools protocol: messages of JSON, each ended by a zero)."""

    def __init__(self, profile: Path) -> None:
        program = shutil.which("chromium")
        if program is None:
            raise RuntimeError("no chromium: run tools/setup")
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        self._log = (profile / "log").open("wb")
        self._process = subprocess.Popen(
            [
                "bash",
                "-c",
                f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}',
                "-",
                program,
                *WORDS,
                f"--user-data-dir={profile}",
            ],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._numbers = itertools.count(1)
        self._data = b""
        self._session = ""
        self.told: list[dict[str, Any]] = []

    def close(self) -> None:
        """End it with all its processes."""
        processes.kill_all(lambda: processes.of_session(self._process.pid), "chromium")
        self._process.wait()
        for descriptor in (self._in, self._out):
            os.close(descriptor)
        self._log.close()

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the answer to one command."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        answer = self._until(lambda told: told.get("id") == number, method)
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _until(self, fits: Any, what: str) -> dict[str, Any]:
        deadline = time.monotonic() + TIMEOUT
        while True:
            while b"\0" in self._data:
                line, _zero, self._data = self._data.partition(b"\0")
                told: dict[str, Any] = json.loads(line)
                if fits(told):
                    return told
                self.told.append(told)
            if not select.select([self._in], [], [], max(deadline - time.monotonic(), 0))[0]:
                raise AssertionError(f"{what}: no answer in {TIMEOUT:g} s")
            part = os.read(self._in, 1 << 20)
            if not part:
                raise AssertionError(
                    f"{what}: chromium ended:\n{Path(self._log.name).read_text(errors='replace')[-2000:]}"
                )
            self._data += part

    def open(self, path: Path | str, width: int = 1280, dark: bool = False) -> None:
        """Show a file, or a URL, in a window of a width; a narrow one is a telephone's."""
        if not self._session:
            target = self.ask("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Network", "Runtime", "Log", "Accessibility"):
                self.ask(f"{domain}.enable")
        phone = width < 600
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1 + phone, mobile=phone
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", media="screen", features=[scheme])
        self.told.clear()
        self.ask("Page.navigate", url=path if isinstance(path, str) else path.as_uri())
        if not any(told.get("method") == "Page.loadEventFired" for told in self.told):
            self._until(lambda told: told.get("method") == "Page.loadEventFired", "load")

    def value(self, expression: str) -> Any:
        """Return what an expression of JavaScript is, asked by the test: the page itself has no script."""
        result = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            raise AssertionError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def fetched(self) -> list[str]:
        """Return the addresses of all that was asked for since the page was opened."""
        requests = [told["params"] for told in self.told if told.get("method") == "Network.requestWillBeSent"]
        return [each["request"]["url"] for each in requests]

    def complaints(self) -> list[str]:
        """Return what the browser had to say of the page, broken rules of its policy included."""
        logged = [told["params"]["entry"]["text"] for told in self.told if told.get("method") == "Log.entryAdded"]
        return logged + [str(told["params"]) for told in self.told if told.get("method") == "Runtime.exceptionThrown"]

    def screenshot(self, target: Path) -> None:
        """Write a picture of the whole page."""
        found = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        target.write_bytes(base64.b64decode(found["data"]))

    def roles(self) -> dict[str, list[str]]:
        """Return the names of what a screen reader finds, by role."""
        found: dict[str, list[str]] = {}
        for node in self.ask("Accessibility.getFullAXTree")["nodes"]:
            if not node.get("ignored"):
                name = str(node.get("name", {}).get("value", ""))
                found.setdefault(str(node["role"]["value"]), []).append(name)
        return found


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """Yield a browser with its own profile; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="uml.web.", ignore_cleanup_errors=True) as folder:
        found = Browser(Path(folder))
        try:
            yield found
        finally:
            found.close()
