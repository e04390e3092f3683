# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Disk images as they are handed out (compressed, qcow2, an archive of files), made into a raw image with holes."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import os
import shutil
import struct
import subprocess
import tempfile
import zlib
from typing import IO, Any, Callable, Dict, Iterator, Optional, Sequence, Tuple, Type

from .._mconsole.errors import Error, InputError
from . import copying

FORMATS = ("auto", "raw", "qcow2", "tar")
HASHES = ("sha256", "sha384", "sha512")
_PART = 1 << 20  # bytes read at once
_BLOCK = 64 << 10  # bytes; a block of zeros becomes a hole
_ZEROS = bytes(_BLOCK)
_MAGIC = (("gzip", b"\x1f\x8b"), ("xz", b"\xfd7zXZ\0"), ("bzip2", b"BZh"))
_QCOW2 = b"QFI\xfb"
_QCOW2_HEADER = struct.Struct(">4sIQI")  # magic, version, where the name of the backing file is, and its length
_QCOW2_FLAGS = 72  # where version 3 has its incompatible features
_EXTERNAL_DATA = 1 << 2
_TAR_MAGIC, _TAR_PLACE = b"ustar", 257
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def digest(path: str, name: str) -> str:
    """Return the hash of a file in hexadecimal digits.

    :raises OSError: when it cannot be read
    """
    made = hashlib.new(name)
    with open(path, "rb") as stream:
        for part in iter(lambda: stream.read(_PART), b""):
            made.update(part)
    return made.hexdigest()


def compression(path: str) -> str:
    """Return how a file is compressed, by its first bytes; an empty text if it is not."""
    with open(path, "rb") as stream:
        start = stream.read(8)
    return next((name for name, magic in _MAGIC if start.startswith(magic)), "")


def format_of(path: str) -> str:
    """Return which format the content of a file has: qcow2, tar or raw.

    :raises InputError: when it is compressed and cannot be read
    """
    with reading(path, compression(path)) as stream:
        start = stream.read(512)
    if start.startswith(_QCOW2):
        return "qcow2"
    return "tar" if start[_TAR_PLACE:].startswith(_TAR_MAGIC) else "raw"


@contextlib.contextmanager
def reading(path: str, kind: str) -> Iterator[IO[bytes]]:
    """Yield the content of a file that may be compressed.

    :raises InputError: when it is damaged, or this Python cannot read such files
    """
    opened, damage = _opener(kind)
    try:
        with opened(path, "rb") as stream:
            yield stream
    except (EOFError, zlib.error, damage) as err:
        raise InputError(f"{path} is not a whole {kind} file: {err}", path=path) from err
    except OSError as err:
        if err.errno is not None:
            raise
        raise InputError(f"{path} is not a whole {kind} file: {err}", path=path) from err


def _opener(kind: str) -> Tuple[Callable[..., Any], Type[Exception]]:
    """Return what opens a kind of compression, and the error class by which it reports a damaged file."""
    if kind != "xz":
        known: Dict[str, Callable[..., Any]] = {"gzip": gzip.open, "bzip2": bz2.open}
        return known.get(kind, open), EOFError
    try:
        import lzma
    except ImportError as err:
        raise InputError("the Python of this VM host has no module lzma; expected it for an image in xz") from err
    return lzma.open, lzma.LZMAError


def room_needed(path: str, folder: str) -> int:
    """Return the bytes that the image takes at least; what a compressed file holds is not known before."""
    if compression(path) == "" and format_of(path) == "raw" and copying.can_share(path, folder):
        return 0
    return os.stat(path).st_blocks * 512


def room(folder: str) -> int:
    """Return the bytes that are free for this user in a directory."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


# Making the image.


def make(source: str, target: str, kind: str, size: int) -> None:
    """Make a raw image that is not there yet, of at least a size in bytes.

    :raises Error: when the source cannot be used, or a program fails
    :raises OSError: when the image cannot be written; a part of it may be there then
    """
    MAKERS[kind](source, target, size)
    if os.path.getsize(target) < size:
        os.truncate(target, size)
    os.chmod(target, 0o644)


def _make_raw(source: str, target: str, _size: int) -> None:
    kind = compression(source)
    if not kind and copying.can_share(source, os.path.dirname(target)):
        copying.copy(source, target, float("inf"))
        return
    with reading(source, kind) as stream, open(target, "xb") as image:
        size = 0 if kind else os.fstat(stream.fileno()).st_size
        for start, end in copying.extents(stream.fileno(), size) if not kind else ((0, None),):
            stream.seek(start)
            size = max(size, _write_sparse(stream, image, start, end))
        image.truncate(size)


def _write_sparse(stream: IO[bytes], image: IO[bytes], at: int, end: Optional[int]) -> int:
    """Write a stream up to a place or its end, with holes where it has only zeros, and return where it ends."""
    while end is None or at < end:
        part = stream.read(_BLOCK if end is None else min(_BLOCK, end - at))
        if not part:
            break
        if part != _ZEROS[: len(part)]:
            image.seek(at)
            image.write(part)
        at += len(part)
    return at


def _make_from_qcow2(source: str, target: str, _size: int) -> None:
    if compression(source):
        unpacked = f"{target}.qcow2"
        try:
            _make_raw(source, unpacked, 0)
            _make_from_qcow2(unpacked, target, 0)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(unpacked)
        return
    check_alone(source)
    program = _program("qemu-img", "qemu-utils")
    _run([program, "convert", "-f", "qcow2", "-O", "raw", "-S", "64k", source, target])


def check_alone(source: str) -> None:
    """Refuse a qcow2 image that holds the names of other files: its author would choose which are read here.

    :raises InputError: when it is not a qcow2 image, or names a backing file or a data file
    """
    with open(source, "rb") as stream:
        start = stream.read(_QCOW2_FLAGS + 8)
    if len(start) < _QCOW2_HEADER.size or not start.startswith(_QCOW2):
        raise InputError(f"{source} is not a qcow2 image: it has no such header", path=source)
    _magic, version, backing, _length = _QCOW2_HEADER.unpack_from(start)
    features = int.from_bytes(start[_QCOW2_FLAGS:], "big") if version > 2 else 0
    if backing or features & _EXTERNAL_DATA:
        raise InputError(
            f"{source} is not an image on its own: it names another file; expected one without a backing file or a"
            " data file, such as qemu-img convert makes",
            path=source,
        )


def _make_from_tar(source: str, target: str, size: int) -> None:
    """Lay out an archive beside the image, and make a file system of it."""
    if not size:
        raise InputError("size is missing; expected the size of the file system for an archive of files, such as 1G")
    if os.geteuid():
        raise InputError("only root can lay out the files of an archive with their owners; set become=true")
    tree = f"{target}.tree"
    shutil.rmtree(tree, ignore_errors=True)
    os.mkdir(tree, 0o700)
    try:
        _extract(source, tree)
        os.chmod(tree, 0o755)
        with open(target, "xb") as image:
            image.truncate(size)
        program = _program("mke2fs", "e2fsprogs")
        _run([program, "-q", "-F", "-t", "ext4", "-E", "root_owner=0:0", "-d", tree, target])
    finally:
        shutil.rmtree(tree, ignore_errors=True)


def _extract(source: str, tree: str) -> None:
    """Have tar lay out an archive; what it complains of goes to a file, because a full pipe would stop it."""
    words = [_program("tar", "tar"), "-x", "-p", "-f", "-", "--numeric-owner", "--xattrs", "-C", tree]
    with tempfile.TemporaryFile() as said, reading(source, compression(source)) as stream:
        with _start(words, stdin=subprocess.PIPE, stderr=said) as child:
            if child.stdin is not None:
                with contextlib.suppress(BrokenPipeError), child.stdin:
                    shutil.copyfileobj(stream, child.stdin, _PART)
        said.seek(0)
        _check(words, child.returncode, said.read())


MAKERS: Dict[str, Callable[[str, str, int], None]] = {
    "raw": _make_raw,
    "qcow2": _make_from_qcow2,
    "tar": _make_from_tar,
}


def _program(name: str, package: str) -> str:
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise InputError(f"the program {name} is not on this VM host; install the package {package}")
    return found


def _run(words: Sequence[str]) -> None:
    with _start(words) as child:
        said = child.communicate()[1]
    _check(words, child.returncode, said)


def _start(words: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "LC_ALL": "C"}
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen(  # pylint: disable=ansible-bad-function
        list(words), env=environment, **pipes
    )


def _check(words: Sequence[str], status: int, said: bytes) -> None:
    if status:
        lines = said.decode(errors="replace").strip().splitlines()
        raise Error(f"{os.path.basename(words[0])} failed: {lines[-1] if lines else f'status {status}'}")
