"""Hosts, ports and connections in memory, and a reactor for the program under test."""

# Twisted leaves Failure and BaseConnector without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import attrs
from twisted.internet import error
from twisted.internet.address import IPv4Address
from twisted.internet.base import BaseConnector
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import (
    IAddress,
    IConnector,
    IHostnameResolver,
    IHostResolution,
    IListeningPort,
    IProtocolFactory,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IResolutionReceiver,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from kvd.testing.clock import MachineClock, Process, Timeline, Timer
from kvd.testing.memory.pipes import Line, Pipe

OWN_HOST = "127.0.0.1"
_FIRST_PORT = 49_152  # of those that a system gives by itself
_PORTS_END = 65_536
# Never early, so that a LoopingCall does not run twice; little enough that a chain of
# a thousand calls still fits into the time that was asked for.
_LATE_SECONDS = 1e-9


@attrs.define(eq=False)
class Listener:
    """A port that somebody listens on."""

    process: Process
    factory: IProtocolFactory
    pipes: set[Pipe] = attrs.field(factory=set)


class Net:
    """
    Which names and ports there are.

    :ivar kernel: where connections are accepted, whatever the processes do.
    :ivar hosts: addresses by name.
    """

    def __init__(self, timeline: Timeline) -> None:
        self.kernel = Process(
            timeline, MachineClock(timeline, epoch_ns=0), crashed=lambda: None
        )
        self.hosts = {"localhost": OWN_HOST, OWN_HOST: OWN_HOST}
        self._lines: dict[str, Line] = {OWN_HOST: Line()}
        self._listeners: dict[tuple[str, int], Listener] = {}
        self._next_port = _FIRST_PORT

    def add_host(self, name: str, address: str) -> Line:
        self.hosts[name] = self.hosts[address] = address
        line = self._lines[address] = Line()
        return line

    def line(self, address: str) -> Line | None:
        """The way to a host; None: there is none."""
        return self._lines.get(address)

    def port(self) -> int:
        """One that nobody has had lately."""
        port = self._next_port
        self._next_port = port + 1 if port + 1 < _PORTS_END else _FIRST_PORT
        return port

    def listen(
        self, address: str, port: int, process: Process, factory: IProtocolFactory
    ) -> Listener:
        if (address, port) in self._listeners:
            raise error.CannotListenError(address, port, OSError("it is in use"))
        listener = Listener(process, factory)
        self._listeners[address, port] = listener
        return listener

    def close(self, listener: Listener) -> None:
        """Accept nobody any more; what was accepted goes on."""
        for place in [at for at, each in self._listeners.items() if each is listener]:
            del self._listeners[place]

    def crash(self, listener: Listener) -> None:
        """Its process is gone, and all connections with it."""
        self.close(listener)
        for pipe in tuple(listener.pipes):
            pipe.vanish()
        listener.pipes.clear()

    def connecting(self, connector: Connector) -> None:
        """A connection is asked for; in a turn of who asks."""
        line = self.line(connector.host)
        if line is None:
            self.kernel.after(0, self._refuse, connector, Line())
        else:
            line.carry(self.kernel, self._arrive, connector, line)

    def _refuse(self, connector: Connector, line: Line) -> None:
        refused = error.ConnectionRefusedError(111, "Connection refused")
        line.carry(connector.process, connector.failed, refused)

    def _arrive(self, connector: Connector, line: Line) -> None:
        listener = self._listeners.get((connector.host, connector.port))
        if listener is None:
            self._refuse(connector, line)
            return
        here = IPv4Address("TCP", connector.host, connector.port)
        there = IPv4Address("TCP", OWN_HOST, self.port())
        accepted = Pipe(
            line,
            listener.process,
            own=here,
            peer=there,
            lost=lambda pipe, _: listener.pipes.discard(pipe),
        )
        connected = Pipe(
            line, connector.process, own=there, peer=here, lost=connector.lost
        )
        accepted.other, connected.other = connected, accepted
        listener.pipes.add(accepted)
        line.carry(connector.process, connector.succeeded, connected)
        listener.process.after(0, self._accept, listener, accepted)

    @staticmethod
    def _accept(listener: Listener, pipe: Pipe) -> None:
        protocol = listener.factory.buildProtocol(pipe.getPeer())
        if protocol is None:
            listener.pipes.discard(pipe)
            pipe.vanish()
        else:
            pipe.open(protocol)


@implementer(IConnector)
class Connector(BaseConnector):
    """What ``connectTCP`` returns; and, until it is connected, its own transport."""

    def __init__(
        self,
        reactor: MemoryReactor,
        net: Net,
        host: str,
        port: int,
        factory: Any,  # noqa: ANN401 -- a ClientFactory of any protocol
        timeout: float,
    ) -> None:
        super().__init__(factory, timeout, cast(Any, reactor))
        self.process: Process = reactor
        self.host = host
        self.port = port
        self._net = net
        self._reactor = reactor
        self._waits = False

    def getDestination(self) -> IPv4Address:
        return IPv4Address("TCP", self.host, self.port)

    def _makeTransport(self) -> Any:  # noqa: ANN401 -- Twisted wants a tcp.Client
        self._waits = True
        self._net.connecting(self)
        return self

    def failIfNotConnected(self, reason: Exception) -> None:
        """Of a transport: the base class gives up, for whatever reason."""
        if self._waits:
            self._waits = False
            self.connectionFailed(Failure(reason))

    def failed(self, reason: Exception) -> None:
        """Nobody listens there."""
        self.failIfNotConnected(reason)

    def succeeded(self, pipe: Pipe) -> None:
        """It is there; whoever has given up meanwhile lets go of it."""
        protocol = None
        if self._waits:
            self._waits = False
            self.transport = cast(Any, pipe)
            protocol = self.buildProtocol(self.getDestination())
        if protocol is None:
            pipe.vanish()
            return
        self._reactor.pipes.add(pipe)
        pipe.open(protocol)

    def lost(self, pipe: Pipe, reason: Failure) -> None:
        """The connection is over."""
        self._reactor.pipes.discard(pipe)
        self.connectionLost(reason)


@implementer(IListeningPort)
class Listening:
    """What ``listenTCP`` returns."""

    def __init__(
        self, reactor: MemoryReactor, net: Net, factory: IProtocolFactory, port: int
    ) -> None:
        self._net = net
        self._reactor = reactor
        self.factory = factory
        self._port = port or net.port()
        self._listener: Listener | None = None

    def startListening(self) -> None:
        """:raises CannotListenError: somebody else does."""
        self._listener = self._net.listen(
            OWN_HOST, self._port, self._reactor, self.factory
        )
        self._reactor.ports.add(self)
        self.factory.doStart()

    def stopListening(self) -> Deferred[None]:
        listener, self._listener = self._listener, None
        if listener is not None:
            self._net.close(listener)
            self._reactor.ports.discard(self)
            self.factory.doStop()
        return succeed(None)

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", OWN_HOST, self._port)


@implementer(IHostResolution)
@attrs.frozen
class _Resolution:
    """It never takes a while, so there is nothing to cancel."""

    name: str

    def cancel(self) -> None: ...


@implementer(IHostnameResolver)
class _Names:
    def __init__(self, net: Net) -> None:
        self._net = net

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,  # noqa: ARG002 -- Twisted's
        transportSemantics: str = "TCP",  # noqa: ARG002 -- Twisted's
    ) -> IHostResolution:
        resolutionReceiver.resolutionBegan(_Resolution(hostName))
        address = self._net.hosts.get(hostName.lower())
        if address is not None:
            found = IPv4Address("TCP", address, portNumber)
            resolutionReceiver.addressResolved(found)
        resolutionReceiver.resolutionComplete()
        return _Resolution(hostName)


@implementer(IReactorTCP, IReactorPluggableNameResolver)
class MemoryReactor(Process):
    """
    Time and TCP for the program under test; give it to what takes a reactor.

    It has ``seconds``, ``callLater`` and ``getDelayedCalls``, ``connectTCP`` and
    ``listenTCP`` (on localhost), and the names of the members; no threads, files,
    signals, and no TLS.

    :ivar pipes: connections that were made from here, and are open.
    :ivar ports: those that are listened on.

    .. versionadded:: 0.1
    """

    def __init__(self, timeline: Timeline, clock: MachineClock, net: Net) -> None:
        super().__init__(timeline, clock, crashed=lambda: None)
        self._net = net
        self.nameResolver: IHostnameResolver = _Names(net)
        self.pipes: set[Pipe] = set()
        self.ports: set[Listening] = set()

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        previous, self.nameResolver = self.nameResolver, resolver
        return previous

    def callLater(
        self,
        delay: float,
        callable: Callable[..., Any],  # noqa: A002 -- Twisted's name; Any: as Twisted has it
        *args: object,
        **kwargs: object,
    ) -> Timer:
        if delay < 0:
            raise ValueError(f"{delay} s is in the past")
        seconds = delay + _LATE_SECONDS if delay else 0.0
        timer = self.after(seconds, callable, *args, **kwargs)
        timer.asked_seconds = delay
        return timer

    def getDelayedCalls(self) -> tuple[Timer, ...]:
        return tuple(
            timer
            for timer in self.timeline.pending()
            if timer.process is self and timer.asked_seconds is not None
        )

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: Any,  # noqa: ANN401 -- a ClientFactory of any protocol
        timeout: float = 30,
        bindAddress: tuple[str, int] | None = None,  # noqa: ARG002 -- Twisted's
    ) -> Connector:
        address = self._net.hosts.get(host.lower(), host)
        connector = Connector(self, self._net, address, port, factory, timeout)
        connector.connect()
        return connector

    def listenTCP(
        self,
        port: int,
        factory: IProtocolFactory,
        backlog: int = 50,  # noqa: ARG002 -- Twisted's
        interface: str = "",  # noqa: ARG002 -- there is one only
    ) -> Listening:
        listening = Listening(self, self._net, factory, port)
        listening.startListening()
        return listening

    def callFromThread(
        self,
        callable: Callable[..., Any],  # noqa: A002 -- Twisted's name; Any: as Twisted has it
        *args: object,
        **kwargs: object,
    ) -> None:
        """There is one thread; in a later turn of it."""
        self.callLater(0, partial(callable, *args, **kwargs))
