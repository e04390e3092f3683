# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups on the controller: files made sparse again, a directory that is whole or not there, the oldest removed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

MANIFEST = "backup.json"
NAME = re.compile(r"\d{8}T\d{6}")
_BLOCK = 4096  # bytes, what file systems allocate


def make_sparse(path: Path) -> None:
    """Write a file again without its blocks of zeros; the old one stays until the new one is whole."""
    new = path.with_name(f".{path.name}.sparse")
    try:
        with path.open("rb") as source, new.open("xb") as target:
            os.chmod(new, 0o600)
            _copy_sparsely(source, target)
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)


def _copy_sparsely(source: BinaryIO, target: BinaryIO) -> None:
    zeros = bytes(_BLOCK)
    while block := source.read(_BLOCK):
        if block == zeros[: len(block)]:
            target.seek(len(block), os.SEEK_CUR)
        else:
            target.write(block)
    target.truncate(target.tell())


@contextlib.contextmanager
def whole_directory(final: Path) -> Iterator[Path]:
    """Yield a directory that is put in its place when all went well, and removed otherwise."""
    final.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=final.parent))
    try:
        yield part
        part.rename(final)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def oldest(folder: Path, keep: int | None) -> list[Path]:
    """Return the backups in a directory beyond those that are kept."""
    return backups(folder)[:-keep] if keep else []


def backups(folder: Path) -> list[Path]:
    """Return the whole backups in a directory, the oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path.parent for path in folder.glob(f"*/{MANIFEST}") if NAME.fullmatch(path.parent.name))


def names(manifest: Mapping[str, Any]) -> list[str]:
    """Return the files of a backup; the manifest is last, because a backup without it does not count."""
    return [*(os.path.basename(row["path"]) for row in manifest["copies"]), MANIFEST]


def remove(backups: list[Path]) -> None:
    """Remove backups, their manifests first, so that one that is half removed does not count."""
    for path in backups:
        (path / MANIFEST).unlink()
        shutil.rmtree(path)
