# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which instance a task is about, and which arguments it may have."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleError

from ansible_collections.uml.mconsole.plugins.plugin_utils import _identity, _parameters, _setup


@pytest.mark.parametrize(
    ("task", "variables", "umid"),
    [
        ({}, {"inventory_hostname": "qa"}, "qa"),
        ({"delegate_to": None}, {"inventory_hostname": "qa"}, "qa"),
        ({"delegate_to": "qb"}, {"inventory_hostname": "qa"}, "qb"),
        ({"delegate_to": "qb"}, {"inventory_hostname": "qa", "ansible_uml_umid": "b"}, "b"),
        ({}, {"inventory_hostname": "qa", "ansible_uml_umid": "a"}, "a"),
        ({}, {"inventory_hostname": "qa", "ansible_uml_umid": "101"}, "101"),
    ],
)
def test_the_instance_of_a_task(task: dict[str, Any], variables: dict[str, Any], umid: str) -> None:
    assert _identity.umid_of(task, variables) == umid


@pytest.mark.parametrize("value", [101, 7, False, 1.1, ["web1"], {"web1": None}])
def test_a_umid_that_is_not_text_is_refused(value: Any) -> None:
    with pytest.raises(AnsibleError, match=r"ansible_uml_umid is .*, which is not text; write the umid in quotes"):
        _identity.umid_of({}, {"inventory_hostname": "qa", "ansible_uml_umid": value})
    with pytest.raises(AnsibleError, match=r"umid is .* in quotes"):
        _parameters.check("request", {"umid": value})
    with pytest.raises(AnsibleError, match=r"an item of umids is .* in quotes"):
        _parameters.check("request", {"umids": ["web1", value]})


@pytest.mark.parametrize(
    ("module", "option", "said"),
    [
        ("device", "fiel", "uml.mconsole.device has no option 'fiel'; did you mean 'file'?"),
        ("cow", "zzz", "uml.mconsole.cow has no option 'zzz'; its options are "),
        ("proc_info", "pahts", "uml.mconsole.proc_info has no option 'pahts'; did you mean 'paths'?"),
    ],
)
def test_a_misspelt_option_is_named_with_the_one_that_was_meant(module: str, option: str, said: str) -> None:
    with pytest.raises(AnsibleError) as caught:
        _parameters.check(module, {option: 1})
    assert str(caught.value).startswith(said)


def test_parameters_are_those_of_the_module() -> None:
    params = _parameters.validate("proc_info", {"path": "meminfo", "_ansible_check_mode": True}, 7.5)
    assert params["paths"] == ["meminfo"]
    assert params["timeout"] == 7.5
    assert params["umid"] is None
    with pytest.raises(AnsibleError, match="mutually exclusive"):
        _parameters.validate("proc_info", {"path": "meminfo", "umid": "a", "umids": ["b"]}, 5)


@pytest.mark.parametrize(
    ("asked", "gathered", "foreign"),
    [
        (None, ["default"], []),
        (["all"], ["default"], []),
        ("!all,network", ["!all", "network"], []),
        (["!all"], ["!all"], []),
        (["!hardware"], ["!hardware"], []),
        (["distribution_version", "env"], ["distribution"], ["env"]),
        (["env", "facter"], ["min"], ["env", "facter"]),
        (["!min", "ohai"], ["min", "!min"], ["ohai"]),
        (["!facter"], ["default"], []),
    ],
)
def test_the_subsets_of_setup(asked: Any, gathered: list[str], foreign: list[str]) -> None:
    assert _setup.translate({"gather_subset": asked}) == (gathered, foreign)


def test_the_filter_of_setup() -> None:
    facts = {"ansible_kernel": 1, "ansible_memtotal_mb": 2, "uml": 3}
    assert _setup.select(facts, {}) == facts
    assert _setup.select(facts, {"filter": ["ansible_*_mb", "kern*"]}) == {
        "ansible_kernel": 1,
        "ansible_memtotal_mb": 2,
    }
    assert _setup.select(facts, {"filter": "uml"}) == {"uml": 3}
