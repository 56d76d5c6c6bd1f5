"""Sockets in the file system: what ``unix://`` means, and files that somebody left."""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from typing import Final

PREFIX: Final = "unix://"
PATH_BYTES_MAX: Final = 107  # Linux's
MODE: Final = 0o600  # as etcd's under the usual umask: only this user connects


def socket_path(url: str) -> str:
    """
    ``unix:///run/kvd.sock``; or etcd's way, ``unix://host:port``, which is a file of
    that name in the current folder.
    """
    return url.removeprefix(PREFIX)


def make_way(path: str) -> None:
    """
    Remove a socket on which nobody listens: a process that was killed left it.

    :raises OSError: somebody listens on it, or it is no socket, and stays.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "there is a file that is no socket", path)
    with socket.socket(socket.AF_UNIX) as asking:
        asking.setblocking(False)
        try:
            asking.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:  # so many wait there already
            pass
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), path)


def before_close(path: str) -> None:
    """Twisted takes the file away, and cannot bear that somebody else has."""
    with suppress(OSError), open(path, "xb"):
        pass


def say(path: str, words: str) -> None:
    """
    One datagram to whoever listens there.

    :param path: ``@name`` is a socket without a file, of Linux's.
    :raises OSError: nobody does.
    """
    address = f"\0{path[1:]}" if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as telling:
        telling.setblocking(False)
        telling.sendto(words.encode("ascii"), address)
