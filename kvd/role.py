"""What a process is, a member or a proxy; settled when it starts."""

# Twisted leaves MultiService without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Final

from twisted.application.service import MultiService
from twisted.logger import Logger

from kvd.config import Config
from kvd.errors import ConfigError
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
        self._makers: dict[Role, Callable[..., KvdService | ProxyService]] = {
            Role.MEMBER: member,
            Role.PROXY: proxy,
        }
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
        inner = self._makers[role](
            reactor=self._reactor,
            config=self.config,
            process=self._process,
            warnings=(*self._warnings, note) if note else self._warnings,
            source=self._source,
            disk=self._disk,
        )
        self.inner = inner
        inner.setServiceParent(self)
