# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Find the instances and their places in the VM host's own /proc and the uml_dirs, without a record.

Sources of the rules: linux arch/um/os-Linux/umid.c (where an instance keeps its files), and kernels 6.1, 6.12
and 7.2 as measured: the main process leads its own process group, nearly always its session, and its helpers share it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from . import names, procfs
from .errors import InputError, NotAllowedError, NotThereError
from .kernel_processes import HostProcesses, belongs, console_name, is_kernel, kernel_arg, uml_dir_of

_LISTED = 10  # names that an error shows at most


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

    :raises NotThereError: when there is no such instance
    :raises NotAllowedError: when this user may not read the directory
    :raises InputError: when two users or directories have one of that name
    """
    here = place(umid, uml_dir)
    if is_there(here):
        return here
    known = discover([here.uml_dir] if uml_dir else None)
    found = [instance for instance in known if instance.place.umid == umid]
    found = [instance for instance in found if instance.alive] or found
    if len(found) > 1:
        where = ", ".join(instance.place.uml_dir for instance in found)
        raise InputError(f"there is more than one instance {umid!r}; set uml_dir to one of {where}", umid=umid)
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
            if belongs(main.pid, argv, where.umid):
                return _alive(None, where, main, argv)
    return next((instance for instance in discover([where.uml_dir]) if instance.place == where), None)


def pid_of(where: Place) -> Optional[int]:
    """Return the main process of the instance of a place, or None when it does not run or cannot be seen."""
    found = find_instance(where)
    return found.pid if found is not None and found.alive else None


def members(pid: int) -> Tuple[int, ...]:
    """Return the living processes of an instance's session, or of its process group."""
    return HostProcesses().members(pid)


def places(uml_dir: Optional[str] = None) -> List[Place]:
    """Return the places of all that exists in a uml_dir, or on the whole host; stale ones too."""
    return [instance.place for instance in discover([absolute(uml_dir)] if uml_dir else None)]


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
    """Return whether an instance's directory exists.

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
    umids = sorted({instance.place.umid for instance in known})
    more = f" and {len(umids) - _LISTED} more" if len(umids) > _LISTED else ""
    there = f"there are {', '.join(umids[:_LISTED])}{more}" if umids else "there are no instances"
    return NotThereError(
        f"no instance {here.umid!r}: looked in {looked}; {there}", umid=here.umid, uml_dir=here.uml_dir, known=umids
    )


# Discovery.


class _Record(NamedTuple):
    """What one directory of a uml_dir says: its place, the process in its pid file, the owner of the directory."""

    place: Place
    pid: Optional[int]
    uid: int


def discover(uml_dirs: Optional[Iterable[str]] = None) -> List[Instance]:
    """Return every instance that can be seen, or those of some uml_dirs, by one pass over the host; sorted.

    Running ones by their command line, all others by the directory that they left.
    """
    host = HostProcesses()
    running = {pid: (argv, uml_dir_of(pid, argv)) for pid, argv in host.candidates()}
    wanted = list(uml_dirs) if uml_dirs is not None else None
    searched = wanted if wanted is not None else [*_usual_dirs(), *(uml_dir for _argv, uml_dir in running.values())]
    unique = _unique(searched)
    recorded = [_recorded(host, record) for record in _records(unique.values())]
    found = {instance.place: instance for instance in recorded}
    seen = {instance.pid for instance in recorded if instance.alive}
    for pid, (argv, uml_dir) in running.items():
        if (
            host.leads(pid)
            and pid not in seen
            and (wanted is None or _same(uml_dir) in unique)
            and is_kernel(pid, argv)
        ):
            instance = _unrecorded(host, pid, argv, unique.get(_same(uml_dir), uml_dir))
            if instance.place not in found or not found[instance.place].alive:
                found[instance.place] = instance
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


def _records(uml_dirs: Iterable[str]) -> Iterator[_Record]:
    for uml_dir in uml_dirs:
        with contextlib.suppress(OSError), os.scandir(uml_dir) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    record = _record(Place(entry.name, uml_dir), entry.stat(follow_symlinks=False).st_uid)
                    if record is not None:
                        yield record


def _record(where: Place, uid: int) -> Optional[_Record]:
    """Return what a directory says, or None when it does not belong to an instance: a uml_dir may be /tmp."""
    pid = procfs.read_pid(where.pid_file)
    path = os.path.join(where.directory, "mconsole")
    with contextlib.suppress(OSError):
        if os.path.lexists(path):
            return _Record(where, pid, uid) if stat.S_ISSOCK(os.lstat(path).st_mode) else None
        if pid is not None and os.listdir(where.directory) == ["pid"]:
            return _Record(where, pid, uid)
    return None


def _recorded(host: HostProcesses, record: _Record) -> Instance:
    """Return the instance of a directory: alive, or what is left of it."""
    pid = record.pid
    main = host.processes.get(pid) if pid is not None else None
    if main is not None and pid is not None:
        argv = procfs.argv(pid)
        if belongs(pid, argv, record.place.umid):
            return _alive(host, record.place, main, argv)
        return Instance(record.place, pid, False, (), "", (), record.uid, 0)
    members = host.members(pid) if pid is not None else ()
    owned = [member for member in members if belongs(member, procfs.argv(member), record.place.umid)]
    argv = procfs.argv(owned[0]) if owned else []
    return Instance(record.place, pid, False, members if owned else (), "", tuple(argv), record.uid, 0)


def _alive(host: Optional[HostProcesses], where: Place, main: procfs.Stat, argv: Sequence[str]) -> Instance:
    session = host.members(main.pid) if host else (main.pid,)
    return Instance(where, main.pid, True, session, main.state, tuple(argv), uid_of(main.pid), main.start)


def uid_of(pid: int) -> Optional[int]:
    """Return the user that a process runs as, or None when it is gone."""
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None


def _unrecorded(host: HostProcesses, pid: int, argv: Sequence[str], uml_dir: str) -> Instance:
    """Return a running instance whose directory is not there (yet, or at all) or not ours to see."""
    umid = kernel_arg(argv, "umid") or console_name(pid) or f"pid-{pid}"
    return _alive(host, Place(umid, uml_dir), host.processes[pid], argv)
