# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check that every link within a site leads to a page that exists and to an anchor on it: check_links.py FOLDER."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The anchors and the links of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors = {""}
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the anchor and the link of a tag."""
        values = dict(attrs)
        self.anchors.add(values.get("id") or "")
        self.links += [link for name in ("href", "src") if (link := values.get(name))]


def inner_links(path: Path, page: Page) -> Iterator[tuple[str, Path, str]]:
    """Yield each link of a page that stays on the site, with its target file and its anchor."""
    for link in page.links:
        parts = urlsplit(link)
        if not parts.scheme and not parts.netloc:
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            yield link, target, unquote(parts.fragment)


def main(root: Path) -> int:
    """Print the dead links and the counts; return the exit status."""
    pages = {path: Page(path.read_text()) for path in root.rglob("*.html")}
    links = [(path, *link) for path, page in pages.items() for link in inner_links(path, page)]
    dead = [
        f"{path.relative_to(root)}: {link} leads nowhere"
        for path, link, target, anchor in links
        if not target.exists() or (target in pages and anchor not in pages[target].anchors)
    ]
    print(*dead, f"{len(links)} links on {len(pages)} pages, {len(dead)} dead", sep="\n")
    return bool(dead) or not links


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
