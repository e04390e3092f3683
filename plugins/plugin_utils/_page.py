# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One HTML file of a fleet: made of a template that Ansible never sees, told apart from an older one.

The file is made by a Jinja environment of its own that escapes everything, since what guests say is in it. It holds no
script, and its own policy forbids any, together with whatever would be fetched.
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

from ansible_collections.uml.mconsole.plugins.plugin_utils import _page_diagram as topology
from ansible_collections.uml.mconsole.plugins.plugin_utils._page_text import clean, count, when

MARK = '<meta name="generator" content="uml.mconsole.fleet_page">'
_TIME = re.compile(r'<time id="looked".*?</time>', re.DOTALL)


def render(templates: Path, model: dict[str, Any], title: str, now: float) -> str:
    """Return the page."""
    style = (templates / "fleet_page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    looked = {**when(now), "zone": clean(time.strftime("%Z", time.localtime(now)), 12)}
    figures = {each["key"]: topology.figures(each) for each in model["vm_hosts"]}
    plain = {"title": clean(title, 100), "looked": looked, "figures": figures}
    ours = {"mark": Markup(MARK), "style": Markup(style), "digest": digest}
    return _template(templates).render(**model, **plain, **ours)


@functools.cache
def _template(templates: Path) -> jinja2.Template:
    """Return the template, which escapes all that is put into it."""
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
    """Tell whether a file is one of ours, which may be written over."""
    return MARK in text[:4096]


def differs(old: str, new: str) -> bool:
    """Tell whether two pages differ in anything but the time at which somebody looked."""
    return _TIME.sub("", old) != _TIME.sub("", new)
