"""Sockets by URL: where a member listens, and how it reaches another."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
)
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol

from kvd.straight import Outbox
from kvd.unixsockets import MODE, PREFIX, before_close, make_way, socket_path

_BACKLOG: Final = 1024  # connections that wait to be accepted; the kernel may take less
CONNECT_SECONDS: Final = 10.0
_LOOPBACK: Final = "127.0.0.1"

Reactor = Any  # Twisted's real reactors provide many interfaces, no one names all
Port = Any  # IListeningPort that can also be read from or not; no interface says so


class Later(Factory):
    """
    The factory of a port that is opened before anybody can answer on it.

    Opening comes first so that a port in use is known at once; nothing is accepted
    before there is an :attr:`inner` factory.
    """

    noisy = False

    def __init__(self, name: str) -> None:
        self._name = name
        self.inner: Factory | None = None

    def logPrefix(self) -> str:
        return self._name

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        if self.inner is None:
            return None
        # Factory promises a kind of its own, known to nobody else.
        return self.inner.buildProtocol(addr)  # type: ignore[return-value]

    def set(self, inner: Factory) -> None:
        """Who answers from now on."""
        self.inner = inner
        inner.doStart()  # type: ignore[no-untyped-call]  # Twisted's

    def stopFactory(self) -> None:
        if self.inner is not None:
            self.inner.doStop()  # type: ignore[no-untyped-call]  # Twisted's


class Ports:
    """
    The ports of one option, opened together.

    :param option: the option that names the URLs, for the operator.
    :param secure: what stands in front of the protocols of https URLs.
    """

    def __init__(
        self,
        reactor: Reactor,
        option: str,
        urls: tuple[str, ...],
        secure: Callable[[Later], Any] | None = None,
    ) -> None:
        self._reactor = reactor
        self._secure = secure
        self._option = option
        self.urls = urls
        self._open: list[Port] = []
        self._paths: list[str] = []  # of sockets in the file system
        self._factory = Later(option)

    def open(self) -> list[str]:
        """
        Open all; connections wait in the kernel until :meth:`accept`, so that a client
        sees them open and unanswered (V2-SPEC 14).

        :return: one line for each that cannot be opened.
        """
        problems = []
        for url in self.urls:
            try:
                opened = self._listen(url)
            except (CannotListenError, OSError) as error:
                cause = getattr(error, "socketError", error)
                reason = getattr(cause, "strerror", "") or cause
                problems.append(
                    f"{self._option}: cannot listen on {url}: {reason}; expected a free "
                    "address of this machine"
                )
                continue
            self._open.append(opened)
            opened.stopReading()
        return problems

    def _listen(self, url: str) -> Port:
        if url.startswith(PREFIX):
            path = socket_path(url)
            make_way(path)
            opened = self._reactor.listenUNIX(
                path, self._factory, backlog=_BACKLOG, mode=MODE
            )
            self._paths.append(path)
            return opened
        host, port = _address(url)
        opened = self._reactor.listenTCP(
            port, self._factory_for(url), backlog=_BACKLOG, interface=host
        )
        opened.transport = Outbox(self._reactor).server
        return opened

    def _factory_for(self, url: str) -> Any:  # noqa: ANN401 -- a factory of Twisted's
        if self._secure is None or urlsplit(url).scheme != "https":
            return self._factory
        return self._secure(self._factory)

    def turn_away(self) -> None:
        """Close what connects, until :meth:`accept`: a sign that somebody is here."""
        for port in self._open:
            port.startReading()

    def accept(self, factory: Factory) -> None:
        """Take the connections that wait, and those to come."""
        self._factory.set(factory)
        for port in self._open:
            port.startReading()

    def close(self) -> Deferred[None]:
        """No more connections; fires when the sockets are closed."""
        for path in self._paths:
            before_close(path)
        self._paths.clear()
        closing = [maybeDeferred(port.stopListening) for port in self._open]
        self._open.clear()
        done: Deferred[None] = Deferred()
        DeferredList(closing, consumeErrors=True).addCallback(
            lambda _: done.callback(None)
        )
        return done

    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Host and port of each open TCP socket; of use with port 0."""
        hosts = [port.getHost() for port in self._open]
        return tuple(
            (host.host, host.port)
            for host in hosts
            if not isinstance(host, UNIXAddress)
        )


def endpoint(
    reactor: Reactor, url: str, *, seconds: float = CONNECT_SECONDS
) -> IStreamClientEndpoint:
    """
    Where a URL leads; a name is looked up at each attempt.

    :param seconds: for an attempt to connect.
    :raises ValueError: no host or no port in it, or not http.
    """
    if urlsplit(url).scheme != "http":
        raise ValueError(f"expected an http URL: {url}")
    host, port = _address(url)
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return HostnameEndpoint(reactor, host, port, seconds)
    kind = TCP4ClientEndpoint if version == 4 else TCP6ClientEndpoint
    made: IStreamClientEndpoint = kind(reactor, host, port, seconds)
    return made


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    if not parts.hostname or parts.port is None:
        raise ValueError(f"expected http://host:port: {url}")
    host = _LOOPBACK if parts.hostname == "localhost" else parts.hostname
    return host, parts.port
