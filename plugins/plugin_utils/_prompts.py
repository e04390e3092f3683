# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a become plugin waits for, as text for the program that sees it: the local client, beside the guest."""

from __future__ import annotations

import re
from typing import Any

OPTIONS = ("become_user", "become_exe", "become_flags", "become_pass")


def of(plugin: Any) -> dict[str, str] | None:
    """Return what asks for a password, what says that none is needed any more, and the password; None without one."""
    if plugin is None or not plugin.expect_prompt():
        return None
    return {
        "prompt": _prompt(plugin),
        "success": re.escape(plugin.success),
        "password": plugin.get_option("become_pass") or "",
    }


def _prompt(plugin: Any) -> str:
    """Return the pattern of a prompt; su has one in each language (ansible.builtin.su)."""
    languages = getattr(plugin, "SU_PROMPT_LOCALIZATIONS", None)
    if languages is None:
        return rf"^\s*{re.escape(str(plugin.prompt).strip())}"
    words = plugin.get_option("prompt_l10n") or languages
    return rf"(?i:{'|'.join(map(re.escape, words))})\s*[:\uff1a]"
