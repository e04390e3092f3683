# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names that a kernel takes as they are, and those that it would not."""

from __future__ import annotations

import pytest

from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.errors import InputError
from ansible_collections.uml.mconsole.plugins.module_utils._mconsole.names import check_umid, console_path

GOOD = ["web1", "a", "-x", "with space", "a:b", "a.b", "...", "ä" * 31, "x" * 63, "\udcff"]
BAD = ["", ".", "..", "a/b", "/", "a\0b", "a\nb", "x" * 64, "ä" * 32, "\ud800"]


@pytest.mark.parametrize("umid", GOOD)
def test_a_good_umid_is_returned(umid: str) -> None:
    assert check_umid(umid) == umid


@pytest.mark.parametrize("umid", BAD)
def test_a_bad_umid_is_refused(umid: str) -> None:
    with pytest.raises(InputError):
        check_umid(umid)


def test_the_console_lies_in_the_folder_of_the_umid() -> None:
    assert console_path("/run/uml", "web1") == "/run/uml/web1/mconsole"
    assert console_path("/run/uml/", "web1") == "/run/uml/web1/mconsole"


@pytest.mark.parametrize(("length", "fits"), [(107, True), (108, False)])
def test_a_socket_path_has_107_bytes(length: int, fits: bool) -> None:
    uml_dir = "/" + "d" * (length - len("/" + "/x/mconsole"))
    if fits:
        assert len(console_path(uml_dir, "x")) == length
    else:
        with pytest.raises(InputError, match="108 bytes"):
            console_path(uml_dir, "x")


@pytest.mark.parametrize("uml_dir", ["/a\0b", "/\ud800"])
def test_a_folder_that_has_no_bytes_is_refused(uml_dir: str) -> None:
    with pytest.raises(InputError):
        console_path(uml_dir, "x")
