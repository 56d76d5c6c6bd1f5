"""What a process is, a member or a proxy; settled when it starts."""

# Twisted leaves MultiService without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Final

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger

from kvd.config import Config
from kvd.errors import ConfigError
from kvd.finding import Finding
from kvd.node.settled import settled
from kvd.process import Process
from kvd.proxy.service import ProxyService
from kvd.service import KvdService
from kvd.storage.disk import Disk, RealDisk

MEMBER_FILE: Final = "member/identity"
PROXY_FOLDER: Final = "proxy"

Reactor = Any  # Twisted's real reactors provide many interfaces, no one names all


class Role(Enum):
    """Once a data folder was used as one of them, it never is another."""

    MEMBER = "member"
    PROXY = "proxy"


def role_of(disk: Disk, config: Config) -> tuple[Role, str]:
    """
    By the data folder or, if that is new, by ``proxy``; and a line for the log.

    :raises ConfigError: the folder is both, or cannot be looked at.
    """
    folder = os.path.abspath(config.data_dir)
    try:
        member = disk.exists(f"{folder}/{MEMBER_FILE}")
        proxy = disk.exists(f"{folder}/{PROXY_FOLDER}")
    except OSError as error:
        raise ConfigError([f"data-dir {folder}: {error.strerror or error}"]) from error
    if member and proxy:
        both = "invalid datadir. Both member and proxy directories exist."
        raise ConfigError([f"data-dir {folder}: {both}"])
    asked = config.proxy != "off"
    if member and asked:
        return Role.MEMBER, (
            f"proxy: {config.proxy} is ignored: {folder} is a member's, which it stays"
        )
    if proxy and not asked:
        return Role.PROXY, f"{folder} is a proxy's, which it stays"
    return (Role.PROXY if proxy or asked else Role.MEMBER), ""


class Daemon(MultiService):
    """
    A :class:`KvdService` or a :class:`ProxyService`, made when this one starts.

    A member that was to found a cluster by discovery, and finds it full, becomes a
    proxy of that cluster if ``discovery-fallback`` says so.

    :ivar inner: the one that was made.
    :param warnings: lines about the configuration, for the log.
    :param source: the configuration file, empty for none.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        reactor: Reactor,
        config: Config,
        process: Process,
        warnings: Sequence[str] = (),
        source: str = "",
        disk: Disk | None = None,
        member: Callable[..., KvdService] = KvdService,
        proxy: Callable[..., ProxyService] = ProxyService,
    ) -> None:
        super().__init__()
        self.config = config
        self.inner: KvdService | ProxyService | None = None
        self._member = member
        self._proxy = proxy
        self._falling_back: Deferred[None] | None = None
        self._reactor = reactor
        self._process = process
        self._warnings = tuple(warnings)
        self._source = source
        self._disk = disk if disk is not None else RealDisk()

    def startService(self) -> None:
        super().startService()
        try:
            role, note = role_of(self._disk, self.config)
        except ConfigError as error:
            self._process.prepare()
            for line in error.problems:
                self._log.critical("cannot start: {line}", line=line)
            self._process.end(1)
            return
        self._begin(role, (*self._warnings, note) if note else self._warnings)

    def _begin(
        self, role: Role, warnings: Sequence[str], peer_urls: Sequence[str] = ()
    ) -> None:
        common = {
            "reactor": self._reactor,
            "process": self._process,
            "warnings": warnings,
            "source": self._source,
            "disk": self._disk,
        }
        inner: KvdService | ProxyService
        if role is Role.MEMBER:
            inner = self._member(
                config=self.config, become_proxy=self._fall_back, **common
            )
        else:
            finding = Finding(config=self.config, reactor=self._reactor)
            inner = self._proxy(
                config=self.config, peer_urls=peer_urls, find=finding.look, **common
            )
        self.inner = inner
        inner.setServiceParent(self)

    def _fall_back(self, peer_urls: Sequence[str]) -> None:
        """The member did not begin: others founded its cluster (V2-SPEC 16.1)."""
        self._falling_back = Deferred.fromCoroutine(self._become_proxy(peer_urls))
        self._falling_back.addErrback(
            lambda failure: self._log.failure("falling back to proxy", failure)
        )

    async def _become_proxy(self, peer_urls: Sequence[str]) -> None:
        if self.inner is not None:
            await maybeDeferred(self.inner.disownServiceParent)
        if self.running:
            self._begin(Role.PROXY, (), peer_urls)

    def stopService(self) -> Deferred[None]:
        """Fires when whatever this is has stopped."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await maybeDeferred(super().stopService)
        if self._falling_back is not None:
            await settled(self._falling_back)
