"""Sockets by URL."""

from __future__ import annotations

import contextlib
import errno

import pytest
from twisted.internet.defer import succeed
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
)
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock

from kvd.ports import Ports, endpoint
from tests.test_urls import TAKEN


class Port:
    def __init__(self, factory):
        self.factory = factory
        self.reading = True

    def stopReading(self):
        self.reading = False

    def startReading(self):
        self.reading = True

    def stopListening(self):
        self.factory.doStop()
        return succeed(None)

    def getHost(self):
        return type("Address", (), {"host": "127.0.0.1", "port": 4711})


class Reactor(MemoryReactorClock):
    def __init__(self):
        super().__init__()
        self.asked = []
        self.opened = []

    def listenTCP(self, port, factory, backlog=50, interface=""):
        self.asked.append((interface, port))
        if port == 1:
            raise CannotListenError(interface, port, OSError(errno.EACCES, "no"))
        if port == 2:
            raise CannotListenError(interface, port, "strange")
        factory.doStart()
        self.opened.append(Port(factory))
        return self.opened[-1]

    def listenUNIX(self, path, factory, backlog=50, mode=0o666):
        self.asked.append((path, oct(mode)))
        if "/none/" in path:
            cause = OSError(errno.ENOENT, "No such file or directory")
            raise CannotListenError(None, path, cause)
        factory.doStart()
        self.opened.append(Port(factory))
        return self.opened[-1]


def test_nothing_is_accepted_before_there_is_somebody_to_answer():
    reactor = Reactor()
    ports = Ports(reactor, "option", ("http://localhost:5", "http://[::1]:6"))
    assert ports.open() == []
    assert reactor.asked == [("127.0.0.1", 5), ("::1", 6)]
    assert [port.reading for port in reactor.opened] == [False, False]
    outer = reactor.opened[0].factory
    assert outer.buildProtocol(None) is None
    assert outer.logPrefix() == "option"
    ports.turn_away()
    assert [port.reading for port in reactor.opened] == [True, True]
    assert outer.buildProtocol(None) is None
    inner = Factory.forProtocol(Protocol)
    inner.noisy = False
    ports.accept(inner)
    assert [port.reading for port in reactor.opened] == [True, True]
    assert isinstance(outer.buildProtocol(None), Protocol)
    assert inner.numPorts == 1
    closed = []
    ports.close().addCallback(closed.append)
    assert closed == [None]
    assert inner.numPorts == 0


def test_closing_what_never_accepted_is_fine():
    ports = Ports(Reactor(), "option", ("http://127.0.0.1:5",))
    ports.open()
    closed = []
    ports.close().addCallback(closed.append)
    ports.close().addCallback(closed.append)
    assert closed == [None, None]


def test_each_port_that_cannot_be_opened_is_a_line():
    ports = Ports(
        Reactor(),
        "option",
        ("http://127.0.0.1:1", "http://127.0.0.1:2", "http://[::]:3"),
    )
    assert ports.open() == [
        (
            "option: cannot listen on http://127.0.0.1:1: no; expected a free address "
            "of this machine"
        ),
        (
            "option: cannot listen on http://127.0.0.1:2: strange; expected a free "
            "address of this machine"
        ),
    ]


def test_addresses_are_those_of_the_sockets():
    ports = Ports(Reactor(), "option", ("http://127.0.0.1:0",))
    ports.open()
    assert ports.addresses() == (("127.0.0.1", 4711),)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("http://10.0.0.1:5", TCP4ClientEndpoint),
        ("http://localhost:5", TCP4ClientEndpoint),
        ("http://[fe80::1]:5", TCP6ClientEndpoint),
        ("http://name.example:5", HostnameEndpoint),
    ],
)
def test_an_address_is_not_looked_up_and_a_name_is(url, kind):
    assert type(endpoint(MemoryReactorClock(), url)) is kind


@pytest.mark.parametrize("url", ["https://a:5", "http://a", "http://:5", "nonsense"])
def test_a_url_that_leads_nowhere_is_refused(url):
    with pytest.raises(ValueError, match="expected"):
        endpoint(MemoryReactorClock(), url)


def test_a_socket_in_the_file_system_is_for_this_user_alone(tmp_path):
    reactor = Reactor()
    path = str(tmp_path / "kvd.sock")
    ports = Ports(reactor, "listen-client-urls", (f"unix://{path}",))
    assert ports.open() == []
    assert reactor.asked == [(path, "0o600")]
    assert not reactor.opened[0].reading
    ports.close()
    # What Twisted takes away is there, though somebody has removed the socket.
    assert (tmp_path / "kvd.sock").exists()


def test_what_is_no_socket_is_not_removed(tmp_path):
    reactor = Reactor()
    (tmp_path / "notes").write_text("mine")
    urls = (f"unix://{tmp_path}/notes", f"unix://{tmp_path}/none/kvd.sock")
    ports = Ports(reactor, "listen-client-urls", urls)
    there, nowhere = ports.open()
    assert "there is a file that is no socket" in there
    assert "No such file or directory" in nowhere
    ports.close()
    assert [each.name for each in tmp_path.iterdir()] == ["notes"]
    assert (tmp_path / "notes").read_text() == "mine"


@pytest.mark.parametrize("url", [shown for _, shown in TAKEN], ids=ascii)
def test_a_peer_url_that_a_client_may_give_leads_somewhere_or_is_refused(url):
    with contextlib.suppress(ValueError):
        assert IStreamClientEndpoint.providedBy(endpoint(MemoryReactorClock(), url))
