# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Render the page of a fleet as one HTML file, and compare it with an older one.

Ansible never sees the template: a separate Jinja environment renders it and escapes everything, because text of guests
is in it. The page has no script, and its own policy forbids scripts and everything that would be fetched.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
import time
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from ansible_collections.uml.mconsole.plugins.plugin_utils import _page_diagram
from ansible_collections.uml.mconsole.plugins.plugin_utils._page_text import clean, count, when

MARK = '<meta name="generator" content="uml.mconsole.fleet_page">'
_TIME = re.compile(r'<time id="looked".*?</time>', re.DOTALL)


def render(templates: Path, model: dict[str, Any], title: str, now: float) -> str:
    """Return the page."""
    style = (templates / "fleet_page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    looked = {**when(now), "zone": clean(time.strftime("%Z", time.localtime(now)), 12)}
    figures = {vm_host["key"]: _page_diagram.figures(vm_host) for vm_host in model["vm_hosts"]}
    plain = {"title": clean(title, 100), "looked": looked, "figures": figures}
    ours = {"mark": Markup(MARK), "style": Markup(style), "digest": digest}
    return _template(templates).render(**model, **plain, **ours)


@functools.cache
def _template(templates: Path) -> jinja2.Template:
    """Return the template, which escapes everything that it shows."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["count"] = count
    return environment.get_template("fleet_page.html.j2")


def is_page(text: str) -> bool:
    """Return whether a file is a page of ours, which may be replaced."""
    return MARK in text[:4096]


def differs(old: str, new: str) -> bool:
    """Return whether two pages differ in anything but their time."""
    return _TIME.sub("", old) != _TIME.sub("", new)
