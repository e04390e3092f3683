# Copyright (c) 2026, the uml.mconsole contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""One exchange with a console: connect, send a request, collect the packets of the reply."""

from __future__ import annotations

import errno
import os
import socket
import stat
import time

from .names import MAX_SOCKET_PATH
from .reply_sockets import ReplySocket
from .wire import MAX_DATAGRAM, Assembly, Packet, Reply, Request, decode_text, encode_text

LISTENING_AFTER = 0.05  # seconds until a kernel listens to a new socket (measured: up to 0.01)
_QUIET = 0.5  # seconds without a packet after which the end of a reply that overflowed counts as lost
_READ_SIZE = MAX_DATAGRAM + 1  # so that a datagram that is too long shows


def connect(sock: socket.socket, path: str) -> os.stat_result:
    """Connect to the console at a path, wait until its kernel listens, and return its status.

    Anyone who can write to the directory could substitute a link to another instance's console. So this opens first,
    checks the descriptor, and connects through it.

    :raises OSError: when there is nothing, it is not a socket, or no process listens
    """
    if len(encode_text(path)) > MAX_SOCKET_PATH:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        handle = os.open(os.path.basename(path), os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        found = os.fstat(handle)
        if not stat.S_ISSOCK(found.st_mode) or found.st_nlink > 1:
            raise OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        sock.connect(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)
    wait_until_listening(found)
    return found


def wait_until_listening(found: os.stat_result) -> None:
    """Wait until a kernel that has just made its socket also listens to it.

    The kernel makes the socket first (mconsole_kern.c mconsole_init). For a moment the socket is blocking, as that of a
    paused kernel is. A command that comes before the kernel's interrupt handler is only answered with the next command.
    """
    age = time.time() - found.st_ctime
    if 0 <= age < LISTENING_AFTER:
        time.sleep(LISTENING_AFTER - age)


def send(sock: socket.socket, request: Request, deadline: float) -> None:
    """Send at once, or wait for room in the instance's queue: it holds 11 datagrams, and is full when the guest hangs.

    :raises OSError: when there is no room by the deadline, or no process listens
    """
    try:
        sock.send(request.to_bytes(), socket.MSG_DONTWAIT)
    except BlockingIOError:
        sock.settimeout(max(deadline - time.monotonic(), 0.001))
        sock.send(request.to_bytes())


def collect(bound: ReplySocket, capacity: int, deadline: float) -> Reply:
    """Return the reply, or its first packets, marked as truncated, when the rest did not come by the deadline.

    ``capacity`` is how many datagrams cannot be lost on their way.

    :raises OSError: when no packet came by the deadline
    :raises ProtocolError: when a packet is not one of a reply
    """
    bound.sock.settimeout(max(deadline - time.monotonic(), 0.001))
    first = Packet.from_bytes(bound.sock.recv(_READ_SIZE))
    if not first.more:  # nearly always
        return Reply(first.err, decode_text(first.data))
    return _collect_more(bound.sock, Assembly(capacity, first), deadline)


def _collect_more(sock: socket.socket, assembly: Assembly, deadline: float) -> Reply:
    """Return a reply of several packets, with what came of it in time."""
    left = deadline - time.monotonic()
    while left > 0 and assembly.feed(_next(sock, assembly, left)):
        left = deadline - time.monotonic()
    return assembly.reply()


def _next(sock: socket.socket, assembly: Assembly, left: float) -> bytes:
    """Return the next datagram, or nothing when none comes in the time that is left."""
    sock.setblocking(False)
    try:
        return sock.recv(_READ_SIZE)
    except BlockingIOError:
        assembly.drained()
    sock.settimeout(min(left, _QUIET) if assembly.may_be_cut else left)
    try:
        return sock.recv(_READ_SIZE)
    except socket.timeout:
        return b""
