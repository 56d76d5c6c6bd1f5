"""
What a proxy keeps on its disk: where the members' peer ports are.

::

    <data-dir>/lock             held while the proxy runs, as by a member
    <data-dir>/proxy/cluster    {"PeerURLs":["http://10.0.0.1:2380",...]}, as etcd's
"""

from __future__ import annotations

from kvd.errors import StorageError
from kvd.proxy.documents import BYTES_MAX, decode_peer_urls, encode_peer_urls
from kvd.storage.data_dir import TEMPORARY, refused, take_lock
from kvd.storage.disk import Disk, Lock


class ProxyFolder:
    """Blocking, for the worker."""

    def __init__(self, disk: Disk, data_folder: str) -> None:
        self._disk = disk
        self._data_folder = data_folder
        self._folder = f"{data_folder}/proxy"
        self._path = f"{self._folder}/cluster"
        self._lock: Lock | None = None

    def open(self) -> tuple[str, ...]:
        """
        Make what is missing, lock it, and say which peer URLs were written last.

        :returns: empty when none were.
        :raises StorageError: another process has it, or it cannot be read.
        """
        try:
            return self._open()
        except OSError as error:
            self.release()
            raise refused(error, self._path) from error
        except StorageError:
            self.release()
            raise

    def _open(self) -> tuple[str, ...]:
        disk = self._disk
        disk.make_folder(self._data_folder)
        self._lock = take_lock(disk, self._data_folder)
        disk.make_folder(self._folder)
        if not disk.exists(self._path):
            return ()
        data = disk.read(self._path, 0, BYTES_MAX + 1)
        try:
            return decode_peer_urls(data)
        except ValueError as error:
            raise StorageError(
                f"{error}; without this file the proxy begins anew", path=self._path
            ) from error

    def write(self, peer_urls: tuple[str, ...]) -> None:
        """
        Replace what was written before, in one step.

        :raises StorageError: it could not be; what was there before is there.
        """
        disk = self._disk
        temporary = self._path + TEMPORARY
        try:
            if disk.exists(temporary):
                disk.remove(temporary)
            file = disk.create(temporary)
            try:
                file.append(encode_peer_urls(peer_urls))
                file.sync()
            finally:
                file.close()
            disk.rename(temporary, self._path)
            disk.sync_folder(self._folder)
        except OSError as error:
            raise refused(error, self._path) from error

    def release(self) -> None:
        """Let others in."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()
