"""
An authoritative name server of one domain, as a process of its own.

::

    python nameserver.py PORT DOMAIN NAME=HOST:PORT NAME=ADDRESS ...

Each NAME (``_etcd-server._tcp``) gets SRV records, or one with an IPv4 address; the first
line of its output is the port, once it answers on 127.0.0.1.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from twisted.names import dns
from twisted.names.authority import FileAuthority
from twisted.names.server import DNSServerFactory

from kvd.testing.servers import free_ports


class Zone(FileAuthority):
    """Records from the command line in place of a file."""

    def __init__(self, domain: str, services: list[str]) -> None:
        self._services = services
        super().__init__(domain)

    def loadFile(self, domain: str) -> None:
        name = domain.encode()
        soa = dns.Record_SOA(b"ns." + name, b"root." + name, 1)
        self.soa = (name, soa)
        self.records = {name: [soa]}
        for service in self._services:
            label, _, target = service.partition("=")
            host, colon, port = target.partition(":")
            record = (
                dns.Record_SRV(0, 0, int(port), host.encode())
                if colon
                else dns.Record_A(target)
            )
            self.records.setdefault(f"{label}.{domain}".encode(), []).append(record)


def serve(port: int, domain: str, services: list[str]) -> None:
    from twisted.internet import reactor

    factory = DNSServerFactory(authorities=[Zone(domain, services)])
    protocol = dns.DNSDatagramProtocol(factory)
    reactor.listenUDP(port, protocol, interface="127.0.0.1")
    reactor.listenTCP(port, factory, interface="127.0.0.1")
    print(port, flush=True)
    reactor.run()


@contextmanager
def name_server(domain: str, *services: str) -> Iterator[str]:
    """Its address and port, while it runs."""
    # The system would give UDP a port that a connection may have taken for TCP.
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [sys.executable, __file__, str(port), domain, *services],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        said = process.stdout.readline().strip()
        assert said == str(port), "the name server did not start"
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
