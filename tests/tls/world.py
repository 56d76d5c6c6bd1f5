"""Certificates of every kind, and two ends of TLS without a socket between them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from kvd.tls.certificates import BOTH, SERVER, issue, make_authority
from kvd.tls.port import TlsPort
from kvd.tls.settings import TlsSettings

NOW = datetime.now(UTC)
ADDRESS = IPv4Address("TCP", "192.0.2.7", 4711)


class Certificates:
    """An authority, certificates of it and of others; made once, keys are slow."""

    def __init__(self):
        self.files = {}
        self.ca = make_authority("our CA", now=NOW, days=10)
        self.other_ca = make_authority("another CA", now=NOW, days=10)
        self.put("ca.pem", self.ca.certificate_pem)
        self.put("other-ca.pem", self.other_ca.certificate_pem)
        hosts = ["localhost", "127.0.0.1"]
        self.add("server", self.issue("server", usage=SERVER, hosts=hosts))
        self.add("peer", self.issue("peer", usage=BOTH, hosts=[*hosts, "peer.example"]))

    def issue(self, name, *, authority=None, **others):
        others.setdefault("days", 5)
        return issue(authority or self.ca, name, now=NOW, **others)

    def put(self, name, data):
        self.files[name] = data

    def add(self, name, issued, *more):
        chain = b"".join(each.certificate_pem for each in (issued, *more))
        self.put(f"{name}.pem", chain)
        self.put(f"{name}.key", issued.key_pem)
        return issued

    @cached_property
    def middle(self):
        return make_authority("middle CA", now=NOW, days=10, issuer=self.ca)

    def read(self, name):
        try:
            return self.files[name]
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory", name) from None

    def settings(self, name, **others):
        return TlsSettings(cert_file=f"{name}.pem", key_file=f"{name}.key", **others)

    def port(self, settings, clock, *, what="client", seconds=5.0, pending_max=10):
        return TlsPort(
            settings,
            what=what,
            read_file=self.read,
            clock=clock,
            handshake_seconds=seconds,
            pending_max=pending_max,
        )


class Echo(Protocol):
    """Says back what it hears."""

    def __init__(self, heard):
        self.heard = heard

    def dataReceived(self, data):
        self.heard.append(data)
        self.transport.write(b"echo " + data)

    def connectionLost(self, reason):
        self.heard.append("gone")


class Wire:
    """Carries bytes between the transports of two protocols until none are left."""

    def __init__(self, server, client, *clocks):
        self.clocks = clocks
        self.lost = False
        self.ends = []
        for protocol in (server, client):
            transport = StringTransport(peerAddress=ADDRESS)
            self.ends.append((protocol, transport))
        for protocol, transport in self.ends:
            protocol.makeConnection(transport)

    def carry(self):
        moved = True
        while moved:
            moved = False
            for clock in self.clocks:
                clock.advance(0)  # small writes are joined until the turn is over
            for (_, source), (sink, sink_transport) in (self.ends, self.ends[::-1]):
                data = source.value()
                source.clear()
                if data and not sink_transport.disconnecting:
                    moved = True
                    sink.dataReceived(data)

    def end(self):
        """Tell both that the connection is gone, once either wants it so."""
        if not self.lost:
            self.lost = True
            for protocol, _ in self.ends:
                protocol.connectionLost(Failure(ConnectionDone()))


class Plain:
    """An endpoint whose connections are handed to the test."""

    def __init__(self):
        self.factory = None

    def connect(self, factory):
        self.factory = factory
        return Deferred()


class Meeting:
    """One port that is dialled and one that dials it."""

    def __init__(self, accepting, dialling, *, host="localhost", served=True):
        self.heard = []
        self.factory = Factory.forProtocol(lambda: Echo(self.heard))
        if not served:
            self.factory.buildProtocol = lambda _: None
        self.accepted = accepting.accept(self.factory)
        self.said = []
        plain = Plain()
        outer = self

        class Speaker(Protocol):
            def connectionMade(self):
                self.transport.write(b"hello")

            def dataReceived(self, data):
                outer.said.append(data)

        self.outcome = []
        self.attempt = dialling.endpoint(plain, host).connect(
            Factory.forProtocol(Speaker)
        )
        self.attempt.addBoth(self.outcome.append)
        self.wire = Wire(
            self.accepted.buildProtocol(ADDRESS),
            plain.factory.buildProtocol(ADDRESS),
            *{accepting._clock, dialling._clock},
        )
        self.wire.carry()

    def end(self):
        self.wire.end()
        return self
