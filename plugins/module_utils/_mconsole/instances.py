# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What instances there are, and where; from the VM host's own /proc and the uml_dirs, no record kept.

Sources of the rules: linux arch/um/os-Linux/umid.c (where an instance keeps its files), and kernels 6.1, 6.12
and 7.2 as measured: the main process leads its own process group, nearly always its session, and its helpers share it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import stat
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from . import names, procfs
from .errors import InputError, NotAllowedError, NotThereError

_LISTED = 10  # names that an error shows at most
_LOAD_ADDRESS = "60000000-"  # arch/um/Makefile START on x86-64
_MEMORY_FILE = re.compile(r"/(vm_file-\w+|#\d+) \(deleted\)$")  # os-Linux/mem.c; with O_TMPFILE it has no name


class Place(NamedTuple):
    """Where an instance keeps its files: its umid and the absolute directory that holds ``<umid>/``."""

    umid: str
    uml_dir: str

    @property
    def directory(self) -> str:
        """Return the instance's own directory."""
        return os.path.join(self.uml_dir, self.umid)

    @property
    def console(self) -> str:
        """Return the path of its console socket.

        :raises InputError: when it does not fit a socket address
        """
        return names.console_path(self.uml_dir, self.umid)

    @property
    def pid_file(self) -> str:
        """Return the path of the file in which its kernel writes its process id."""
        return os.path.join(self.directory, "pid")


class Instance(NamedTuple):
    """One instance as the VM host shows it.

    ``pid`` is the main process (or what the pid file calls so), ``alive`` whether that runs, ``members`` all living
    processes of its session (by :func:`look` at a living one: the main process alone), ``process_state`` the letter
    of /proc/PID/stat, ``uid`` the owner, ``start`` the main process's start in clock ticks since the host booted
    (0 when it is gone).
    """

    place: Place
    pid: Optional[int]
    alive: bool
    members: Tuple[int, ...]
    process_state: str
    argv: Tuple[str, ...]
    uid: Optional[int]
    start: int


def default_uml_dir() -> str:
    """Return ``~/.uml`` of the running user, by HOME or, where that is unset, by its passwd entry."""
    return os.path.abspath(os.path.expanduser("~/.uml"))


def absolute(uml_dir: Optional[str]) -> str:
    """Return a uml_dir as an absolute path, the default one when none is given.

    :raises InputError: when it is relative, or something else than a directory
    """
    found = names.host_path(uml_dir, "uml_dir") if uml_dir else default_uml_dir()
    if os.path.exists(found) and not os.path.isdir(found):
        raise InputError(f"uml_dir {found} is not a directory; expected the directory that holds UMID/mconsole")
    return found


def place(umid: str, uml_dir: Optional[str] = None) -> Place:
    """Return the place of an instance that need not exist.

    :raises InputError: when no kernel would take the umid
    """
    return Place(names.check_umid(umid), absolute(uml_dir))


def locate(umid: str, uml_dir: Optional[str] = None) -> Place:
    """Return the place of an instance that exists: in uml_dir, else in the default one, else anywhere on the host.

    :raises NotThereError: when there is none
    :raises NotAllowedError: when this user may not look there
    :raises InputError: when two users or directories have one of that name
    """
    here = place(umid, uml_dir)
    if is_there(here):
        return here
    known = discover([here.uml_dir] if uml_dir else None)
    found = [each for each in known if each.place.umid == umid]
    found = [each for each in found if each.alive] or found
    if len(found) > 1:
        where = ", ".join(each.place.uml_dir for each in found)
        raise InputError(f"there is more than one instance {umid!r}; say which by uml_dir: {where}", umid=umid)
    if not found:
        raise _nowhere(here, uml_dir, known)
    return found[0].place


def find_instance(where: Place) -> Optional[Instance]:
    """Return the instance of a place, or None when nothing of it is there; the host's processes are read if need be."""
    with contextlib.suppress(OSError):
        record = _record(where, os.lstat(where.directory).st_uid)
        main = procfs.stat(record.pid) if record is not None and record.pid is not None else None
        if main is not None and main.state not in "ZX":
            argv = procfs.argv(main.pid)
            if _belongs(main.pid, argv, where):
                return _alive(None, where, main, argv)
    return next((each for each in discover([where.uml_dir]) if each.place == where), None)


def members(pid: int) -> Tuple[int, ...]:
    """Return the living processes of an instance's session, or of its process group."""
    return _Host().members(pid)


def places(uml_dir: Optional[str] = None) -> List[Place]:
    """Return the places of all that exists in a uml_dir, or on the whole host; stale ones too."""
    return [each.place for each in discover([absolute(uml_dir)] if uml_dir else None)]


def is_default(here: Place) -> bool:
    """Return whether a place is in this user's default uml_dir, by any of its names."""
    return os.path.realpath(here.uml_dir) == os.path.realpath(default_uml_dir())


def refuse_elsewhere(found: Sequence[Place]) -> None:
    """Refuse to change instances that a task did not name by their directory, unless they are in the default one.

    :raises InputError: when one of them is in another directory
    """
    elsewhere = [place for place in found if not is_default(place)]
    if elsewhere:
        raise InputError(
            f"{', '.join(sorted({place.umid for place in elsewhere}))} is not in the default directory"
            f" {default_uml_dir()} but in {', '.join(place.uml_dir for place in elsewhere)}; set uml_dir, or"
            " ansible_uml_dir of an instance host, to change it there",
            umid=elsewhere[0].umid,
            uml_dir=elsewhere[0].uml_dir,
        )


def is_there(here: Place) -> bool:
    """Tell whether an instance's directory exists.

    :raises NotAllowedError: when this user may not look into the uml_dir
    """
    try:
        return stat.S_ISDIR(os.lstat(here.directory).st_mode)
    except PermissionError:
        raise NotAllowedError(
            f"not allowed to look for {here.umid!r} in {here.uml_dir}, which belongs to {owner_of(here.uml_dir)};"
            " run the task as that user",
            umid=here.umid,
            uml_dir=here.uml_dir,
        ) from None
    except OSError:
        return False


def owner_of(path: str) -> str:
    """Return the owner of a path, or of the nearest directory above it that this user can see."""
    while path != "/":
        with contextlib.suppress(OSError):
            return user_name(os.stat(path).st_uid)
        path = os.path.dirname(path)
    return user_name(0)


def user_name(uid: int) -> str:
    """Return a user's name, or its number as text where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _nowhere(here: Place, uml_dir: Optional[str], known: List[Instance]) -> NotThereError:
    """Return the error that says where was looked, and what is there."""
    looked = here.uml_dir if uml_dir else f"{here.uml_dir} and among all instances of this host"
    umids = sorted({each.place.umid for each in known})
    more = f" and {len(umids) - _LISTED} more" if len(umids) > _LISTED else ""
    there = f"there are {', '.join(umids[:_LISTED])}{more}" if umids else "there is none at all"
    return NotThereError(
        f"no instance {here.umid!r}: looked in {looked}; {there}", umid=here.umid, uml_dir=here.uml_dir, known=umids
    )


# Discovery.


class _Host:
    """One look at the host's processes."""

    def __init__(self) -> None:
        found = (procfs.stat(pid) for pid in procfs.pids())
        self.processes = {each.pid: each for each in found if each is not None and each.state not in "ZX"}
        self._members: Dict[int, List[int]] = {}
        for each in self.processes.values():
            for leader in sorted({each.group, each.session}):
                self._members.setdefault(leader, []).append(each.pid)

    def members(self, pid: int) -> Tuple[int, ...]:
        """Return the living processes of a session or, where a shell with job control started it, of a group."""
        return tuple(sorted(self._members.get(pid, ())))

    def candidates(self) -> Iterator[Tuple[int, List[str]]]:
        """Yield (pid, command line) of those with a umid or a uml_dir on it: group leaders, and orphans of one."""
        for each in self.processes.values():
            if each.size and (each.pid == each.group or each.group not in self.processes):
                argv = procfs.argv(each.pid)
                if any(word.startswith(("umid=", "uml_dir=")) for word in argv[1:]):
                    yield each.pid, argv

    def leads(self, pid: int) -> bool:
        """Tell whether a process leads its group."""
        return self.processes[pid].group == pid


class _Record(NamedTuple):
    """What one directory of a uml_dir says: its place, the process in its pid file, the owner of the directory."""

    place: Place
    pid: Optional[int]
    uid: int


def discover(uml_dirs: Optional[Iterable[str]] = None) -> List[Instance]:
    """Return every instance that can be seen, or those of some uml_dirs, by one pass over the host; sorted.

    Running ones by their command line, all others by the directory that they left.
    """
    host = _Host()
    running = {pid: (argv, uml_dir_of(pid, argv)) for pid, argv in host.candidates()}
    wanted = list(uml_dirs) if uml_dirs is not None else None
    searched = wanted if wanted is not None else [*_usual_dirs(), *(uml_dir for _argv, uml_dir in running.values())]
    unique = _unique(searched)
    found = {each.place: each for each in (_recorded(host, record) for record in _records(unique.values()))}
    seen = {each.pid for each in found.values() if each.alive}
    for pid, (argv, uml_dir) in running.items():
        if (
            host.leads(pid)
            and pid not in seen
            and (wanted is None or _same(uml_dir) in unique)
            and _is_kernel(pid, argv)
        ):
            each = _unrecorded(host, pid, argv, unique.get(_same(uml_dir), uml_dir))
            if each.place not in found or not found[each.place].alive:
                found[each.place] = each
    return sorted(found.values())


def _usual_dirs() -> List[str]:
    """Return the default uml_dir of this user; for root those of all local users (no directory service is asked)."""
    found = [default_uml_dir()]
    if os.geteuid() == 0:
        lines = procfs.read_text("/etc/passwd").splitlines()
        found += [os.path.join(line.split(":")[5], ".uml") for line in lines if line.count(":") == 6]
    return found


def _same(path: str) -> Tuple[int, int]:
    """Return what two spellings of one directory share; (0, 0) when it cannot be seen."""
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def _unique(paths: Iterable[str]) -> Dict[Tuple[int, int], str]:
    """Return each existing directory once, in its first spelling."""
    unique: Dict[Tuple[int, int], str] = {}
    for path in dict.fromkeys(paths):
        unique.setdefault(_same(path), path)
    unique.pop((0, 0), None)
    return unique


def kernel_arg(argv: Sequence[str], name: str) -> Optional[str]:
    """Return the value of the last ``name=value`` on a command line, or None."""
    values = [word[len(name) + 1 :] for word in argv[1:] if word.startswith(f"{name}=")]
    return values[-1] if values else None


def uml_dir_of(pid: int, argv: Sequence[str]) -> str:
    """Return the absolute uml_dir of a running instance, as its kernel finds it (umid.c make_uml_dir)."""
    value = kernel_arg(argv, "uml_dir") or "~/.uml"
    if value.startswith("~"):
        value = _home_of(pid) + value[1:]
    return os.path.normpath(os.path.join(procfs.link(f"/proc/{pid}/cwd") or "/", value))


def _home_of(pid: int) -> str:
    """Return a process's HOME, or its user's where its environment is not ours to read."""
    home = procfs.environ(pid).get("HOME")
    if home is None:
        with contextlib.suppress(OSError, KeyError):
            home = pwd.getpwuid(os.stat(f"/proc/{pid}").st_uid).pw_dir
    return home or "/"


def _records(uml_dirs: Iterable[str]) -> Iterator[_Record]:
    for uml_dir in uml_dirs:
        with contextlib.suppress(OSError), os.scandir(uml_dir) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    record = _record(Place(entry.name, uml_dir), entry.stat(follow_symlinks=False).st_uid)
                    if record is not None:
                        yield record


def _record(where: Place, uid: int) -> Optional[_Record]:
    """Return what a directory says, or None when it is no instance's: a uml_dir may be /tmp, with other directories."""
    pid = procfs.read_pid(where.pid_file)
    path = os.path.join(where.directory, "mconsole")
    with contextlib.suppress(OSError):
        if os.path.lexists(path):
            return _Record(where, pid, uid) if stat.S_ISSOCK(os.lstat(path).st_mode) else None
        if pid is not None and os.listdir(where.directory) == ["pid"]:
            return _Record(where, pid, uid)
    return None


def _recorded(host: _Host, record: _Record) -> Instance:
    """Return the instance of a directory: alive, or what is left of it."""
    pid = record.pid
    main = host.processes.get(pid) if pid is not None else None
    if main is not None and pid is not None:
        argv = procfs.argv(pid)
        if _belongs(pid, argv, record.place):
            return _alive(host, record.place, main, argv)
        return Instance(record.place, pid, False, (), "", (), record.uid, 0)
    members = host.members(pid) if pid is not None else ()
    owned = [each for each in members if _belongs(each, procfs.argv(each), record.place)]
    argv = procfs.argv(owned[0]) if owned else []
    return Instance(record.place, pid, False, members if owned else (), "", tuple(argv), record.uid, 0)


def _alive(host: Optional[_Host], where: Place, main: procfs.Stat, argv: Sequence[str]) -> Instance:
    session = host.members(main.pid) if host else (main.pid,)
    return Instance(where, main.pid, True, session, main.state, tuple(argv), uid_of(main.pid), main.start)


def uid_of(pid: int) -> Optional[int]:
    """Return the user that a process runs as, or None when it is gone."""
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None


def _unrecorded(host: _Host, pid: int, argv: Sequence[str], uml_dir: str) -> Instance:
    """Return a running instance whose directory is not there (yet, or at all) or not ours to see."""
    umid = kernel_arg(argv, "umid") or f"pid-{pid}"
    return _alive(host, Place(umid, uml_dir), host.processes[pid], argv)


def _belongs(pid: int, argv: Sequence[str], where: Place) -> bool:
    """Tell whether a process is of the instance of a place: numbers in pid files are reused by others.

    Helpers have the command line of the main process; a random umid is in none, but the console is held open.
    """
    if kernel_arg(argv, "umid") == where.umid:
        return True
    if not os.access(f"/proc/{pid}/fd", os.R_OK):
        return kernel_arg(argv, "umid") is not None or kernel_arg(argv, "uml_dir") is not None
    inodes = procfs.socket_inodes(pid, f"{where.umid}/mconsole")
    return procfs.socket_descriptor(pid, inodes) is not None


def _is_kernel(pid: int, argv: Sequence[str]) -> bool:
    """Tell whether a process that no pid file names is a kernel, not a program with ``umid=`` among its arguments.

    A kernel has no options; it is linked to an address of its own (from its first moment, also while it reboots), and
    on other machines than x86-64 it shows by the file of its memory. Where neither is ours to see, it counts as one.
    """
    own = argv[1 : argv.index("--")] if "--" in argv else argv[1:]
    if any(word.startswith("-") for word in own):
        return False
    if procfs.starts_at(pid, _LOAD_ADDRESS):
        return True
    try:
        links = [procfs.link(f"/proc/{pid}/fd/{name}") or "" for name in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return True
    return any(_MEMORY_FILE.search(link) for link in links)
