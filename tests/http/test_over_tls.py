"""The port behind real TLS: what is different there."""

from __future__ import annotations

import pytest
from twisted.internet.protocol import Factory, Protocol

from kvd.tls.settings import TlsSettings
from tests.tls.world import ADDRESS, Certificates, Plain, Wire


class Browser(Protocol):
    """Asks when it is told to, and remembers what was said."""

    def __init__(self):
        self.said = b""

    def dataReceived(self, data):
        self.said += data


@pytest.fixture(scope="module")
def certificates():
    return Certificates()


def connect(port, certificates):
    """A client of the port, and the wire to it."""
    secured = certificates.port(certificates.settings("server"), port.clock)
    dialling = certificates.port(TlsSettings(trusted_ca_file="ca.pem"), port.clock)
    plain = Plain()
    made = []
    attempt = dialling.endpoint(plain, "localhost").connect(
        Factory.forProtocol(Browser)
    )
    attempt.addCallback(made.append)
    wire = Wire(
        secured.accept(port.site).buildProtocol(ADDRESS),
        plain.factory.buildProtocol(ADDRESS),
        port.clock,
    )
    wire.carry()
    (browser,) = made
    return browser, wire


def test_a_client_that_does_not_answer_the_goodbye_keeps_no_connection(
    make_port, certificates
):
    # A pool's connection is looked at when it is used again, which may be never.
    port = make_port(idle_timeout=5000)
    browser, wire = connect(port, certificates)
    browser.transport.write(b"GET /version HTTP/1.1\r\nHost: kvd\r\n\r\n")
    wire.carry()
    assert browser.said.startswith(b"HTTP/1.1 200 OK\r\n")
    (_, below), _ = wire.ends
    for _ in range(7):
        assert not below.disconnecting
        port.clock.advance(1)
        if below.disconnecting:
            break
    assert below.disconnecting
    wire.end()
    assert not port.site.connections


def test_all_that_was_said_leaves_before_the_connection_closes(make_port, certificates):
    browser, wire = connect(make_port(), certificates)
    (_, below), _ = wire.ends
    request = b"GET /version HTTP/1.1\r\nHost: kvd\r\nConnection: close\r\n\r\n"
    browser.transport.write(request)
    wire.carry()
    assert below.disconnecting
    assert browser.said.endswith(b"}")
