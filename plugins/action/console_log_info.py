# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action of the module console_log_info; see plugin_utils/_action.py."""

from __future__ import annotations

from ansible_collections.uml.mconsole.plugins.plugin_utils import _preload
from ansible_collections.uml.mconsole.plugins.plugin_utils._action import ActionModule

__all__ = ["ActionModule"]
_preload.preload("console_log_info")
