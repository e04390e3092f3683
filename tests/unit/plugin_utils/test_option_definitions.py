# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Core gets the options that it would have read from the documentation itself."""

from __future__ import annotations

from types import ModuleType

import pytest
import yaml
from ansible import constants as C
from ansible.parsing.yaml.loader import AnsibleLoader
from ansible.plugins.loader import fragment_loader
from ansible.utils.plugin_docs import add_fragments

from ansible_collections.uml.mconsole.plugins.connection import guest, mconsole
from ansible_collections.uml.mconsole.plugins.plugin_utils import _option_definitions

MODULES = [mconsole, guest]


@pytest.mark.parametrize("module", MODULES)
def test_they_are_those_that_core_reads(module: ModuleType) -> None:
    read = yaml.load(module.DOCUMENTATION, Loader=AnsibleLoader)
    add_fragments(read, module.__file__, fragment_loader=fragment_loader)
    assert _option_definitions.options(module.DOCUMENTATION) == read["options"]
    assert len(read["options"]) > 30


@pytest.mark.parametrize("module", MODULES)
def test_core_has_them_once_the_module_is_imported(module: ModuleType) -> None:
    assert C.config.has_configuration_definition("connection", module.__name__)


def test_a_default_with_a_template_is_left_to_core() -> None:
    _option_definitions.register("a.b.c", "options: {some: {default: '{{ 1 }}'}}")
    assert not C.config.has_configuration_definition("connection", "a.b.c")


@pytest.mark.parametrize(
    "documentation", ["- a list", "options: [", "extends_documentation_fragment: [not.there.at_all]"]
)
def test_what_cannot_be_read_is_left_to_core(documentation: str) -> None:
    _option_definitions.register("a.b.c", documentation)
    assert not C.config.has_configuration_definition("connection", "a.b.c")
