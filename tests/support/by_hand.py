# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Instances as people start them: a script each, none of which owes the collection anything."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple

from support import amx, guest, kernels, mconsole, uml
from support.wait import wait_until

# $K is the kernel, $ID the umid, $U the uml_dir; the working directory holds `initrd`, `root.img` and `data.img`.
IDENTITY = "umid=$ID uml_dir=$U"
INITRD = "initrd=$PWD/initrd root=/dev/ram0 rdinit=/init"
QUIET = "con=null con0=null,fd:1 ssl=null"
END = "> log 2>&1 < /dev/null"


class Way(NamedTuple):
    """One way to start an instance, the kernels that have all that it needs, and what is done to it then."""

    script: str
    series: tuple[str, ...] = kernels.SERIES
    then: tuple[str, ...] = ()
    terminal: bool = False
    own_dir: bool = False


WAYS = {
    "script": Way(f"exec $K {IDENTITY} mem=96M {INITRD} {QUIET} {END}"),
    "nohup": Way(f"nohup $K mem=98304k {INITRD} {IDENTITY} {QUIET} quiet panic=5 > nohup.out 2>&1 < /dev/null & wait"),
    "screen": Way(f"exec $K {IDENTITY} mem=96M {INITRD} con0=fd:0,fd:1 con=pts", terminal=True),
    "bare": Way(f"exec $K {IDENTITY} mem=96M {INITRD} {END}"),
    "image": Way(f"exec $K ubd0=root.img {IDENTITY} mem=96M root=/dev/ubda rw init=/init {QUIET} {END}"),
    "noroot": Way(f"exec $K ubda=root.img {IDENTITY} mem=96M init=/init {QUIET} {END}"),
    "cow": Way(f"exec $K {IDENTITY} ubd0=my.cow,root.img mem=96M root=/dev/ubda rw init=/init {QUIET} {END}"),
    "cowserial": Way(f"exec $K {IDENTITY} ubdbr=data.img ubd2=two.cow,data.img,s1 {INITRD} mem=96M {QUIET} {END}"),
    "hostfs": Way(f"exec $K {IDENTITY} mem=96M rootfstype=hostfs rootflags=/ rw init=/bin/sleep {QUIET} 9999 {END}"),
    "lines": Way(f"exec $K {IDENTITY} ssl3=pts con2=null,fd:1 mem=96M {INITRD} ssl=null con0=null,fd:1 con=pts {END}"),
    "eth": Way(f"exec $K eth0=mcast {IDENTITY} mem=96M {INITRD} {QUIET} {END}", ("6.1", "6.12")),
    "vec": Way(f"exec $K {IDENTITY} vec0:transport=raw,ifname=lo,depth=64 mem=96M {INITRD} {QUIET} {END}"),
    "twice": Way(f"exec $K mem=64M mem=96M hostname=a hostname=b {IDENTITY} {INITRD} {QUIET} {END}"),
    "repeated": Way(f"exec $K {IDENTITY} console=tty0 console=tty1 loglevel=4 mem=96M {INITRD} {QUIET} {END}"),
    "tmpdir": Way(f"mkdir m; export TMPDIR=$PWD/m; exec $K {IDENTITY} mem=96M {INITRD} {QUIET} {END}"),
    "pipe": Way(f"$K {IDENTITY} mem=96M {INITRD} {QUIET} < /dev/null 2>&1 | cat > log"),
    "notify": Way(f"exec $K {IDENTITY} mconsole=notify:$PWD/n mem=96M {INITRD} {QUIET} {END}"),
    "changed": Way(
        f"exec $K {IDENTITY} con3=pts mem=96M {INITRD} {QUIET} {END}",
        then=("config con3=null", "config ssl5=pts", "config ubd1=data.img"),
    ),
    "user": Way(
        "cp initrd copy; cp $K kernel; chown -R nobody .; exec setpriv --reuid=nobody --regid=nogroup --clear-groups"
        f" ./kernel {IDENTITY} initrd=copy root=/dev/ram0 rdinit=/init mem=96M {QUIET} {END}",
        own_dir=True,
    ),
    "paused": Way(f"exec $K {IDENTITY} mem=96M {INITRD} {QUIET} {END}", then=("stop",)),
}


@contextlib.contextmanager
def started(folder: Path, ways: list[tuple[str, str]], uml_dirs: int = 2) -> Iterator[dict[str, Path]]:
    """Start (way, kernel series) each, and yield {umid: uml_dir}; the uml_dirs are `u0`, `u1` and so on of a folder."""
    places = {f"{way}-{series.replace('.', '')}": (way, series) for way, series in ways}
    number = count()
    found: dict[str, Path] = {}
    folder.chmod(0o711)
    with contextlib.ExitStack() as stack:
        for umid, (way, series) in places.items():
            shared = folder / f"u{next(number) % uml_dirs}"
            found[umid] = folder / umid / "own" if WAYS[way].own_dir else shared
            instance = _start(folder / umid, umid, found[umid], WAYS[way], series, stack)
            stack.callback(instance.close)
        for umid, (way, _series) in places.items():
            console = found[umid] / umid / "mconsole"
            wait_until(partial(mconsole.answers, console), 60, partial(_complaint, folder / umid))
            for command in WAYS[way].then:
                wait_until(partial(_takes, console, command), 60, f"{umid} took {command!r}")
        yield found


def _takes(console: Path, command: str) -> bool:
    return mconsole.request(console, command)[0] == 0


def _complaint(folder: Path) -> str:
    log = folder / "log"
    return f"{folder.name} answered; {log.read_text(errors='replace')[-1500:] if log.exists() else 'no log'}"


def _start(folder: Path, umid: str, uml_dir: Path, way: Way, series: str, stack: contextlib.ExitStack) -> uml.Instance:
    folder.mkdir()
    uml_dir.mkdir(exist_ok=True)
    os.symlink(guest.initrd(), folder / "initrd")
    guest.copy_root_image(folder / "root.img")
    guest.ext4_image(folder / "data.img")
    environment = {"K": str(kernels.path(series).resolve()), "ID": umid, "U": f"{uml_dir}/", **amx.by_hand()}
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if way.terminal:
        ours, theirs = pty.openpty()
        stack.callback(os.close, ours)
        stack.callback(os.close, theirs)
        streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    process = subprocess.Popen(
        ["sh", "-c", way.script],
        cwd=folder,
        env={**os.environ, **environment},
        start_new_session=True,
        **streams,
    )
    instance = uml.Instance(umid, uml_dir, process.pid, folder, process)
    uml.LAUNCHED.append(instance)
    return instance
