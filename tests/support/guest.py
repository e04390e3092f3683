# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small guest for real kernels, built once per content from the machine's own busybox."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from support.paths import CACHE, CHECKOUT

GUESTS = CACHE / "guests"
BUSYBOX = Path("/bin/busybox")
UP = "guest is up"

# Mounts first, then the one line the rig waits for.  `hostname` and `agent` come from the kernel's command line;
# `usr=host` lends the guest the programs of the machine, Python among them.
RC = f"""#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
name=guest agent=
for word in $(cat /proc/cmdline); do
    case $word in
        hostname=*) name=${{word#*=}} ;;
        agent=*) agent=${{word#*=}} ;;
    esac
done
hostname "$name"
ip link set lo up
[ -z "$agent" ] || mount -t hostfs -o "$agent" none /agent
chown lab:lab /home/lab
case " $(cat /proc/cmdline) " in
    *" usr=host "*) mkdir /usr && mount -t hostfs -o /usr none /usr && ln -s usr/lib usr/lib64 / ;;
esac
[ ! -e /proc/mconsole ] || echo up > /proc/mconsole
echo "{UP}" > /dev/console
"""

# `read -t` on a fifo without a writer is a pause without a process: fifty guests share two processors.
AGENT = """#!/bin/sh
grep -q ' /agent ' /proc/mounts || exec sleep 2147483647
mkfifo -m 600 /run/tick
exec 3<> /run/tick
work() {
    sh "$1.run" > "$1.part" 2>&1 3<&- < /dev/null
    echo $? > "$1.status"
    mv "$1.part" "$1.out"
    mv "$1.status" "$1.rc"
}
while :; do
    for command in /agent/*.cmd; do
        [ -e "$command" ] || continue
        mv "$command" "${command%.cmd}.run"
        work "${command%.cmd}" &
    done
    read -t 0.05 -u 3 _
done
"""

# What ctrl-alt-del (the console's `cad`) does is the guest's own affair; `cad=` on the command line chooses.
CAD = """#!/bin/sh
for word in $(cat /proc/cmdline); do
    case $word in
        cad=poweroff) exec poweroff ;;
        cad=ignore) exit ;;
        cad=cut) exec poweroff -f -n ;;
        cad=lose) dd if=/dev/zero of=/lost bs=1M count=4; exec poweroff -f -n ;;
    esac
done
exec reboot
"""

# What a guest has at a line: `line=ttyS1` on the command line asks for a shell, `line=ttyS1,login` for a prompt.
LINE = """#!/bin/sh
for word in $(cat /proc/cmdline); do
    case $word in
        line=*,login) line=${word#line=}; exec getty -L 0 "${line%,login}" vt100 ;;
        line=*) exec getty -L -n -l /bin/ash 0 "${word#line=}" vt100 ;;
    esac
done
exec sleep 2147483647
"""

INITTAB = """::sysinit:/etc/rc
::respawn:/sbin/agent
::respawn:/sbin/line
::ctrlaltdel:/sbin/cad
::shutdown:/bin/umount -a -r
"""

OS_RELEASE = """ID=umltest
NAME="UML test guest"
VERSION_ID="1.0"
PRETTY_NAME="UML test guest 1.0"
"""

SCRIPTS = {"etc/rc": RC, "sbin/agent": AGENT, "sbin/cad": CAD, "sbin/line": LINE}
PASSWORD = "sesame-7c1e"  # of root and of lab
HASH = "$6$umltest$6YhBaXDY7UwVYx6pBL2QS9ppJnYX5MA/d22gr.0Q0v5u4DSFrqAvj3E1m.zFrdHpCSsHyAc/Tl3ihqa9GIHj41"
FILES = {
    "etc/inittab": INITTAB,
    "etc/os-release": OS_RELEASE,
    "etc/passwd": f"root:{HASH}:0:0:root:/root:/bin/sh\nlab:{HASH}:1000:1000:lab:/home/lab:/bin/sh\n",
    "etc/group": "root:x:0:\nlab:x:1000:\n",
}
DIRECTORIES = ("agent", "bin", "dev", "etc", "mnt", "proc", "root", "run", "sbin", "sys", "tmp", "var/log", "home/lab")


def initrd() -> Path:
    """Return the guest as a compressed cpio archive."""
    return _cached("initrd.cpio.gz", _pack_initrd)


def root_image() -> Path:
    """Return the guest as an ext4 image: a template that is never booted itself, copy it."""
    return _cached("root.ext4", lambda tree, target: _make_ext4(target, tree, "16M"))


def copy_root_image(target: Path) -> Path:
    """Copy the root image for one instance to write to."""
    shutil.copyfile(root_image(), target)
    return target


DEBIAN_PACKAGES = ["python3", "openssh-server"]  # so that setup runs in it and finds the keys of a host


def debian_image() -> Path:
    """Return where the Debian guest of the role is, or will be when the role has built it."""
    GUESTS.mkdir(parents=True, exist_ok=True)
    program = CHECKOUT / "roles" / "guest" / "files" / "build_guest"
    digest = hashlib.sha256(program.read_bytes() + repr(DEBIAN_PACKAGES).encode())
    return GUESTS / f"{digest.hexdigest()[:16]}-debian.ext4"


LARGE = "32M"  # with blocks as large as a page: smaller ones, cut off in a write, are not clean even after replay


def ext4_image(target: Path, files: Mapping[str, str] | None = None, size: str = "8M") -> Path:
    """Make an ext4 image that holds the given files (relative name to text)."""
    with tempfile.TemporaryDirectory(prefix="uml.img.") as scratch:
        for name, text in (files or {}).items():
            _write(Path(scratch) / name, text)
        _make_ext4(target, Path(scratch), size)
    return target


def _cached(name: str, build: Callable[[Path, Path], None]) -> Path:
    """Build once; the name carries a hash of all that goes in, and a rename makes concurrent builders harmless."""
    GUESTS.mkdir(parents=True, exist_ok=True)
    final = GUESTS / f"{_fingerprint()}-{name}"
    if not final.exists():
        with _scratch() as scratch:
            _fill(scratch / "tree")
            build(scratch / "tree", scratch / name)
            (scratch / name).chmod(0o644)
            (scratch / name).rename(final)
    return final


def _fingerprint() -> str:
    """Hash what the guest is made of."""
    digest = hashlib.sha256(BUSYBOX.read_bytes())
    digest.update(repr((SCRIPTS, FILES, DIRECTORIES)).encode())
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """Yield a folder on the cache's own file system, so that the last step can be a rename."""
    with tempfile.TemporaryDirectory(prefix="build.", dir=GUESTS) as scratch:
        yield Path(scratch)


def _fill(tree: Path) -> None:
    """Lay out the guest's root directory."""
    for name in DIRECTORIES:
        (tree / name).mkdir(parents=True)
    for name, text in {**FILES, **SCRIPTS}.items():
        _write(tree / name, text, 0o755 if name in SCRIPTS else 0o644)
    _install_busybox(tree)


def _install_busybox(tree: Path) -> None:
    """Copy busybox and give it all its names; `/init` is its init, which never ends."""
    shutil.copy(BUSYBOX, tree / "bin/busybox")
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in {*applets} - {"busybox"}:
        (tree / "bin" / applet).symlink_to("busybox")
    for name in ("poweroff", "reboot", "halt", "init"):
        (tree / "sbin" / name).symlink_to("../bin/busybox")
    (tree / "init").symlink_to("bin/busybox")


def _pack_initrd(tree: Path, target: Path) -> None:
    """Pack a tree as the kernel expects it, all owned by root even if another user builds it."""
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    command = f"set -o pipefail; cpio --quiet -o -H newc -R 0:0 | gzip -1 > {target}"
    subprocess.run(["bash", "-c", command], cwd=tree, input=names, text=True, check=True)


def _make_ext4(target: Path, tree: Path, size: str) -> None:
    """Make the file system without mounting anything."""
    blocks = ["-b", "4096"] if size == LARGE else []  # a small one would be all journal
    command = ["/sbin/mke2fs", "-q", "-F", "-t", "ext4", *blocks, "-E", "root_owner=0:0", "-d", tree, target, size]
    subprocess.run(command, capture_output=True, check=True)


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write one file of a guest, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
