# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The checksums that a guest's own programs make."""

from __future__ import annotations

import functools
import hashlib
from typing import BinaryIO, List

_PART = 1 << 20


class Sum:
    """A checksum as one of the guest's programs makes it: sha256sum, md5sum or cksum."""

    def __init__(self, tool: str) -> None:
        self._hash = None if tool == "cksum" else hashlib.new(tool[: -len("sum")])
        self._crc = self._size = 0

    def update(self, data: bytes) -> None:
        """Take more bytes."""
        if self._hash is not None:
            self._hash.update(data)
        else:
            self._crc, self._size = _crc(self._crc, data), self._size + len(data)

    def text(self) -> str:
        """Return the checksum as the program prints it."""
        if self._hash is not None:
            return self._hash.hexdigest()
        length = self._size.to_bytes((self._size.bit_length() + 7) // 8, "little")
        return str(_crc(self._crc, length) ^ 0xFFFFFFFF)


def of_bytes(tool: str, data: bytes) -> str:
    """Return the checksum of bytes."""
    made = Sum(tool)
    made.update(data)
    return made.text()


def of_stream(tool: str, stream: BinaryIO) -> str:
    """Return the checksum of what a stream gives from its start; it stands at its start again afterwards."""
    made = Sum(tool)
    stream.seek(0)
    for part in iter(lambda: stream.read(_PART), b""):
        made.update(part)
    stream.seek(0)
    return made.text()


@functools.lru_cache(maxsize=None)
def _table() -> List[int]:
    """Return the table of the polynomial of POSIX cksum."""
    made = []
    for number in range(256):
        value = number << 24
        for _bit in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
        made.append(value)
    return made


def _crc(value: int, data: bytes) -> int:
    table = _table()
    for byte in data:
        value = (value << 8 ^ table[value >> 24 ^ byte]) & 0xFFFFFFFF
    return value
