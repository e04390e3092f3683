# Copyright (c) 2026, the uml.mconsole contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Our own systemd, booted as the first process of a container that sees this machine's files and keeps none."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from support import processes
from support.wait import wait_until

# Files are written to a tmpfs over the machine's, and outlive a boot; /tmp is shared, so that tests find what is made.
# Units of the machine stay out, because they would act on its kernel. systemd may not change it either, as it does with
# the length of datagram queues.
KEEP = r"""
set -e
folder=$1 root=$1/root
mount -t tmpfs tmpfs "$folder"
mkdir "$folder/upper" "$folder/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$root"
rm -rf "$root/etc/systemd/system" "$root"/lib/systemd/system/*.wants "$root/lib/systemd/system-generators"
mkdir -p "$root/etc/systemd/system"
: >"$root/etc/machine-id"
while :; do
    unshare --mount --pid --fork --kill-child --uts --ipc --cgroup sh -c "$2" boot "$root" || true
done
"""
BOOT = r"""
set -e
root=$1
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for name in null zero full random urandom tty; do
    : >"$root/dev/$name"
    mount --bind "/dev/$name" "$root/dev/$name"
done
mkdir "$root/dev/shm" "$root/dev/pts" "$root/run/sshd"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount --bind /tmp "$root/tmp"
exec chroot "$root" env -i container=test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --unit=multi-user.target --show-status=0 </dev/null
"""


class Machine:
    """A booted systemd; ``inside`` are the words that run a command there."""

    def __init__(self, folder: Path, group: Path) -> None:
        self.group = group
        group.mkdir()
        script = f'echo $$ >"{group}/cgroup.procs"; exec unshare --mount --propagation private sh -c "$@"'
        command = ["sh", "-c", script, "sh", KEEP, "keep", str(folder), BOOT]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self.wait_up()

    def wait_up(self, other_than: int = 0) -> None:
        """Wait until systemd has booted, or booted again."""
        wait_until(lambda: self.init() not in (None, other_than), 60, "systemd is started")
        wait_until(lambda: self.run("systemctl", "is-active", "multi-user.target") == "active", 120, "systemd is up")

    def cut_power(self) -> None:
        """Kill all that runs there at once, and wait until it has booted again."""
        init = self.init()
        assert init
        os.kill(init, signal.SIGKILL)
        self.wait_up(init)

    @property
    def inside(self) -> list[str]:
        """Return the words that run a command there."""
        return ["nsenter", "-t", str(self.init()), "-m", "-p", "-C", "-u", "-i", "-r", "-w"]

    def run(self, *words: str) -> str:
        """Run a command there and return its output, with any status."""
        done = subprocess.run([*self.inside, *words], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def end(self) -> None:
        """Kill it with all that runs in it, and wait until its control group is empty."""
        self.process.kill()  # first, lest it boots again
        self.process.wait()
        wait_until(self._gone, 60, f"{self.group} is empty")

    def init(self) -> int | None:
        """Return the container's first process, once that is systemd."""
        assert self.process.poll() is None, "the container ended"
        for pid in processes.descendants(self.process.pid):
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{pid}/status").read_text()
                if "NSpid" in status and status.split("NSpid:")[1].split("\n")[0].split()[-1] == "1":
                    return pid if os.readlink(f"/proc/{pid}/exe").endswith("/systemd") else None
        return None

    def _gone(self) -> bool:
        """Kill what is left, and remove the control groups, lowest first; they stay until the last process has gone."""
        for folder, _names, _files in os.walk(self.group, topdown=False):
            with contextlib.suppress(OSError):
                for pid in (Path(folder) / "cgroup.procs").read_text().split():
                    os.kill(int(pid), signal.SIGKILL)
                Path(folder).rmdir()
        return not self.group.exists()


@contextlib.contextmanager
def systemd() -> Iterator[Machine]:
    """Yield a machine that systemd runs, until the end of the block."""
    mounts = [Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")]
    [unified] = [path for path in mounts if (path / "cgroup.procs").exists()][:1]
    with tempfile.TemporaryDirectory(prefix="uml.booted.") as folder:
        machine = Machine(Path(folder), unified / f"umlt-{os.getpid()}")
        try:
            yield machine
        finally:
            machine.end()
