"""A member in a process of its own, for programs that cannot be given a reactor."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from kvd.testing.servers import HOST, Make, Place, Server, ServerFailed, free_ports

_STARTS_MAX = 3  # somebody else may take a port that was free a moment before
_IN_USE = "in use"  # the system's words for that
_SETTLED_INDEX = 3  # added, published, and the version decided
_KEYS = "/v2/keys/"


class MemberProcess:
    """
    A member on 127.0.0.1 with ports and a folder of its own, in a child process.

    ::

        with MemberProcess() as member:
            urlopen(f"{member.url}/v2/keys/")

    It serves when :meth:`start` returns, which ``with`` calls; its folder is removed when
    it is closed, or at the latest when the program ends.

    :param options: of the configuration file, beside those that it needs itself.
    :param folder: where it works, instead of one that is made, and removed again.

    .. versionadded:: 0.1
    """

    def __init__(
        self,
        options: Mapping[str, object] | None = None,
        *,
        folder: Path | None = None,
    ) -> None:
        self._options = dict(options or {})
        self._folder = folder
        self._server: Server | None = None
        self._end: weakref.finalize[..., MemberProcess] | None = None

    # -- where it is ----------------------------------------------------------------

    @property
    def url(self) -> str:
        """
        Its client URL.

        :raises ServerFailed: it was never started, or is closed.
        """
        return self._begun().url

    @property
    def host(self) -> str:
        return HOST

    @property
    def port(self) -> int:
        """
        Of its client URL.

        :raises ServerFailed: as for :attr:`url`.
        """
        return self._begun().port

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        return self._server is not None and self._server.running

    # -- its life -------------------------------------------------------------------

    def start(self) -> Self:
        """
        Start it, with what it has on its disk; return when it serves.

        :raises ServerFailed: it does not; the text has the end of its log.
        """
        if self.is_running:
            return self
        if self._server is not None:
            self._server.start()
            self._server.wait_ready()
            _check_own(self._server)
            return self
        for again in reversed(range(_STARTS_MAX)):
            try:
                self._begin()
            except ServerFailed as failure:
                if not again or _IN_USE not in str(failure):
                    raise
            else:
                break
        return self

    def _begin(self) -> None:
        folder = self._folder or Path(tempfile.mkdtemp(prefix="kvd-testing-"))
        client_port, peer_port = free_ports(2)
        # Unlike all others, so that nobody else's answers are taken for its own.
        name = f"testing-{secrets.token_hex(8)}"
        peer_url = f"http://{HOST}:{peer_port}"
        server = Server(
            Make.KVD,
            Place(folder, client_port, peer_port),
            {
                "name": name,
                "data-dir": str(folder / "data"),
                "listen-client-urls": f"http://{HOST}:{client_port}",
                "advertise-client-urls": f"http://{HOST}:{client_port}",
                "listen-peer-urls": peer_url,
                "initial-advertise-peer-urls": peer_url,
                "initial-cluster": f"{name}={peer_url}",
                **self._options,
            },
        )
        removed = folder if self._folder is None else None
        self._end = weakref.finalize(self, _end, server, removed, os.getpid())
        self._server = server
        try:
            server.start()
            server.wait_ready(index=_SETTLED_INDEX)
            _check_own(server)
        except BaseException:
            self.close()
            raise

    def stop(self) -> None:
        """
        SIGTERM, and wait; what it has stays, and its ports, for another start.

        :raises ServerFailed: it did not end in time, and was killed.
        """
        self._begun().stop()

    def kill(self) -> None:
        """SIGKILL, and wait."""
        self._begun().kill()

    def restart(self) -> None:
        """Kill it and start it; return when it serves."""
        self.kill()
        self.start()

    def close(self) -> None:
        """Kill it and remove its folder, unless that was given."""
        if self._end is not None:
            self._end()
        self._end = self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _begun(self) -> Server:
        if self._server is None:
            raise ServerFailed("the member was not started")
        return self._server

    # -- between two tests ------------------------------------------------------------

    def clear(self) -> None:
        """
        Remove all keys, hidden ones in the root excepted; the indexes go on.

        :raises ServerFailed: it will not, because authentication is on for instance.
        """
        status, _, body = self._begun().ask(_KEYS)
        if status != HTTPStatus.OK:
            raise ServerFailed(f"the keys cannot be listed: {status} {body!r}")
        for node in json.loads(body)["node"].get("nodes", []):
            self._remove(node["key"])

    def _remove(self, key: str) -> None:
        path = f"{_KEYS}{quote(key.strip('/'))}?recursive=true"
        status, _, body = self._begun().ask(path, "DELETE")
        if status not in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}:
            raise ServerFailed(f"{key} cannot be removed: {status} {body!r}")

    def renew(self) -> None:
        """
        Have it run and be empty: cleared, or, where that fails, a new one elsewhere.
        """
        try:
            self.start()
            self.clear()
        except ServerFailed:
            if self._folder is not None:
                raise
            self.close()
            self.start()


def _check_own(server: Server) -> None:
    """:raises ServerFailed: it is another server that answers, at what was its port."""
    status, _, body = server.ask("/v2/stats/self")
    if status != HTTPStatus.OK or json.loads(body)["name"] != server.name:
        raise ServerFailed(f"port {server.port} is {_IN_USE} by somebody else")


def _end(server: Server, folder: Path | None, pid: int) -> None:
    """Unless this is a fork of who has started it."""
    if pid == os.getpid():
        server.kill()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
