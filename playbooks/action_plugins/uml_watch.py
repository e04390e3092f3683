# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Show the events of one host as they come. Only for the playbook watch."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.uml.mconsole.plugins.module_utils._guest.console_log import harmless
from ansible_collections.uml.mconsole.plugins.module_utils._journal import event_filter
from ansible_collections.uml.mconsole.plugins.plugin_utils import _output_file

Event = Mapping[str, Any]

_AT_ONCE = 500  # events of one answer
_WAIT = 10.0  # seconds that one order to wait stays on the VM host, when nothing comes and Ctrl-C has ended us
_LONGEST_PAUSE = 30.0  # seconds between two tries to reach a host again
_WIDEST = 600  # characters of one event's text; the JSON has all of it
_COLOURS = {
    "debug": C.COLOR_DEBUG,
    "info": None,
    "warning": C.COLOR_WARN,
    "error": C.COLOR_ERROR,
    "critical": "bright red",
}


class Lost(Exception):
    """The host does not answer now."""


class ActionModule(ActionBase):
    """Follow the journal of one host."""

    _supports_check_mode = True
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Show events until the time is up; return how many, or why there are none."""
        result = super().run(tmp, task_vars)
        self._vars = task_vars or {}
        self._read_arguments()
        position = self._begin()
        if isinstance(position, dict):
            return {**result, **position}
        while not self._task.check_mode and self._left() > 0:
            position = self._round(position)
        return {**result, "changed": False, "shown": self._shown, "position": position}

    def _read_arguments(self) -> None:
        filters = ("umids", "types", "severity", "search", "since", "journal_dir")
        own: dict[str, Any] = {
            "umids": {"type": "raw"},
            "types": {"type": "raw"},
            "last": {"type": "int", "default": 10},
            "seconds": {"type": "float", "default": 0.0},
            "format": {"type": "str", "choices": ["line", "json"], "default": "line"},
            "dest": {"type": "str"},
        }
        _checked, params = self.validate_argument_spec(argument_spec={**event_filter.ARGUMENTS, **own})
        params = {**params, "umids": words_of("umids", params["umids"]), "types": words_of("types", params["types"])}
        self._filter = {name: params[name] for name in filters if params.get(name) is not None}
        self._dest = _output_file.place_of(params["dest"]) if params["dest"] else None
        self._last, self._format = params["last"], params["format"]
        self._end = time.monotonic() + params["seconds"] if params["seconds"] > 0 else float("inf")
        self._host = str(self._vars["inventory_hostname"])
        self._shown, self._collecting, self._tries = 0, True, 0

    def _left(self) -> float:
        return self._end - time.monotonic()

    def _begin(self) -> int | dict[str, Any]:
        """Show the last events and return the position behind them; or the result that says why this cannot be."""
        answer = self._order("event_info", limit=max(self._last, 1))
        if "position" not in answer:
            return answer
        self._show(answer["events"][::-1] if self._last > 0 else [])
        self._tell_of_collector(answer["collecting"])
        return int(answer["position"])

    def _round(self, position: int) -> int:
        """Wait for an event, show the events that came, and return the position behind them."""
        try:
            self._await(position)
            return self._catch_up(position)
        except AnsibleActionFail:
            raise  # this machine cannot write the file
        except (Lost, AnsibleError) as err:
            self._pause(err)
            return position

    def _await(self, position: int) -> None:
        """Return when an event has come, or after a while; another order reads it and all that came with it."""
        if self._tries:
            return  # first see whether it is back
        types = self._filter.get("types") or list(event_filter.TYPES)  # it waits for no operation that is not named
        answer = self._order("event_wait", types=types, after=position, wait_timeout=max(min(_WAIT, self._left()), 0.0))
        if "event" not in answer and answer.get("error", {}).get("kind") != "unanswered":
            raise Lost(answer.get("msg", "it said nothing"))

    def _catch_up(self, position: int) -> int:
        """Show all that is there behind a position, and return the position behind that."""
        more = True
        while more:
            answer = self._order("event_info", after=position, order="oldest", limit=_AT_ONCE)
            if "position" not in answer:
                raise Lost(answer.get("msg", "it said nothing"))
            if self._tries:
                self._say("is back", "ok")
                self._tries = 0
            self._show(answer["events"])
            self._tell_of_collector(answer["collecting"])
            position, more = int(answer["position"]), answer["more"]
        return position

    def _order(self, module: str, **more: Any) -> dict[str, Any]:
        """Return the answer of a module of this collection, by the way that tasks take to this host."""
        task = self._task.copy()
        task.action = f"uml.mconsole.{module}"
        task.args = {**self._filter, **more}
        action = self._shared_loader_obj.action_loader.get(
            "uml.mconsole.request",
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        answer: dict[str, Any] = action.run(task_vars=self._vars)
        return answer

    def _pause(self, err: Exception) -> None:
        """Say once that the host is lost, and wait longer from try to try."""
        if not self._tries:
            self._say(f"is lost, and tried again: {err}", "error")
        time.sleep(max(min(2.0**self._tries, _LONGEST_PAUSE, self._left()), 0.0))
        self._tries += 1

    def _tell_of_collector(self, collecting: bool) -> None:
        if collecting != self._collecting:
            self._say("has a collector now" if collecting else "has no collector that runs: nothing will come", "warn")
        self._collecting = collecting

    def _show(self, found: list[Event]) -> None:
        for event in found:
            text = line_of(self._host, event) if self._format == "line" else json_of(self._host, event)
            if self._dest is not None:
                _output_file.append(self._dest, text)
            else:
                Display().display(text, color=_COLOURS.get(str(event.get("severity"))))
        self._shown += len(found)

    def _say(self, what: str, level: str) -> None:
        colour = {"ok": C.COLOR_OK, "warn": C.COLOR_WARN, "error": C.COLOR_ERROR}[level]
        Display().display(one_line(f"--- {self._host} {what}"), color=colour, stderr=self._format == "json")


def words_of(option: str, value: Any) -> list[str] | None:
    """Return a list of text, or text with commas, as a list.

    :raises AnsibleActionFail: when it is neither, as what YAML does not read as text (007, no, 1.10)
    """
    if value is None or value == "":
        return None
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise AnsibleActionFail(f"watch_{option} is not text or a list of text, found {value!r}; write names in quotes")
    return [word.strip() for word in words]


def line_of(host: str, event: Event) -> str:
    """Return an event as one line."""
    words = (event.get("umid") or "-", event.get("severity"), event.get("type"), event.get("data"))
    umid, severity, kind, data = (one_line(str("" if word is None else word)) for word in words)
    return f"{clock(event.get('time'))}  {one_line(host):12}  {umid:12}  {severity:8}  {kind:10}  {data}".rstrip()


def json_of(host: str, event: Event) -> str:
    """Return an event as JSON on one line, which has no character but those of ASCII."""
    return json.dumps({"inventory_hostname": host, **event}, default=str)


def clock(seconds: Any) -> str:
    """Return a time of the journal as this machine's own."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(float(seconds)))
    except (TypeError, ValueError, OverflowError, OSError):
        return "at no known time   "


def one_line(text: str) -> str:
    """Return text that a guest may have made, as one line of bounded length that a terminal shows and does not obey."""
    plain = harmless(text.encode("utf-8", "replace").decode("utf-8"))
    line = " | ".join(plain.replace("\t", " ").splitlines())
    return line if len(line) <= _WIDEST else f"{line[: _WIDEST - 3]}..."
