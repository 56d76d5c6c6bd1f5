"""Noticing that the machine at the other end is gone."""

from __future__ import annotations

import socket

from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import optionsForClientTLS
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import directlyProvides

from kvd.proxy.liveness import IDLE_SECONDS, watch_over


class Transport:
    """A TCP transport on a real socket that goes nowhere."""

    def __init__(self, handle):
        self.handle = handle
        self.keep_alive = False
        directlyProvides(self, ITCPTransport)

    def setTcpKeepAlive(self, enabled):
        self.keep_alive = enabled

    def getHandle(self):
        return self.handle


def watched(write_milliseconds, wrapped=lambda transport: transport):
    with socket.socket() as handle:
        transport = Transport(handle)
        watch_over(wrapped(transport), write_milliseconds=write_milliseconds)
        assert transport.keep_alive
        return [
            handle.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_USER_TIMEOUT)
        ]


def test_silence_is_looked_into_and_a_write_has_its_time():
    assert watched(5000) == [IDLE_SECONDS, 5000]


def test_without_a_time_out_the_system_decides_about_writes():
    assert watched(0) == [IDLE_SECONDS, 0]


def test_below_tls_there_is_tcp():
    def secured(transport):
        factory = TLSMemoryBIOFactory(optionsForClientTLS("kvd"), True, Factory())
        made = TLSMemoryBIOProtocol(factory, Protocol())
        made.transport = transport
        directlyProvides(made, ITCPTransport)
        return made

    assert watched(5000, secured) == [IDLE_SECONDS, 5000]


def test_what_is_not_tcp_is_left_alone():
    transport = StringTransport()
    watch_over(transport, write_milliseconds=5000)
    assert transport.value() == b""
