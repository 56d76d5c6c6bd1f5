"""A proxy as a service: everything real but the reactor, the disk and the worker."""

from __future__ import annotations

import json
from random import Random

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure

from kvd.config import Config
from kvd.errors import ConfigError
from kvd.proxy.service import ProxyService
from kvd.testing.disk import SimulatedDisk
from tests.test_service import Process as MemberProcess
from tests.test_service import Reactor, Transport, Worker

CONFIG = Config(
    proxy="on",
    data_dir="/data",
    listen_client_urls=("http://127.0.0.1:2379",),
    initial_cluster=(("m", ("http://10.0.0.1:2380",)),),
)
MEMBERS = [
    {
        "id": 1,
        "peerURLs": ["http://10.0.0.2:2380"],
        "name": "m",
        "clientURLs": ["http://10.0.0.2:2379"],
    }
]
GET = b"GET /v2/keys/a HTTP/1.1\r\nHost: x\r\n\r\n"


class Process(MemberProcess):
    def prepare(self, *, sockets_each=1):
        self.said.append(("prepare", sockets_each))
        return self.descriptors_for


class House:
    """One computer on which proxies live one after the other."""

    process_kind = Process

    def __init__(self):
        self.disk = SimulatedDisk(Random(1))
        self.lines = []

    def start(self, config=CONFIG, *, taken=(), **others):
        self.reactor = Reactor()
        self.reactor.taken = set(taken)
        self.process = self.process_kind()
        self.service = ProxyService(
            reactor=self.reactor,
            config=config,
            process=self.process,
            disk=self.disk,
            worker=Worker(self.reactor),
            **others,
        )
        self.served = []
        self.service.serving.addCallback(self.served.append)
        self.service.startService()
        self.run()
        return self

    def run(self, seconds=0.1):
        for _ in range(int(seconds / 0.01)):
            self.reactor.advance(0.01)

    def dialled(self):
        """Host and port of each attempt to connect that is under way."""
        return [(each[0], each[1]) for each in self.reactor.tcpClients]

    def connect(self):
        """The last attempt succeeds; what the other side is written to."""
        _, _, factory, _, _ = self.reactor.tcpClients.pop()
        protocol = factory.buildProtocol(None)
        transport = Transport(protocol, self.reactor)
        protocol.makeConnection(transport)
        return protocol, transport

    def refuse(self):
        """The last attempt fails."""
        _, _, factory, _, _ = self.reactor.tcpClients.pop()
        factory.clientConnectionFailed(None, Failure(ConnectionDone()))
        self.run()

    def tell_members(self, members=MEMBERS):
        """As an etcd does, after it did not understand what a kvd would."""
        self.refuse()
        protocol, transport = self.connect()
        assert transport.value().startswith(b"GET /members HTTP/1.1\r\n")
        body = json.dumps(members).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        protocol.dataReceived(head + body)
        self.run()
        return self

    def client(self, request):
        protocol = self.reactor.ports["127.0.0.1", 2379].factory.buildProtocol(None)
        transport = Transport(protocol, self.reactor)
        protocol.makeConnection(transport)
        protocol.dataReceived(request)
        self.run()
        return transport

    def stop(self):
        ended = []
        self.service.stopService().addCallback(ended.append)
        for _ in range(300):
            if ended:
                return
            self.reactor.advance(0.05)
        pytest.fail("the service does not stop")

    def line(self, level, text):
        found = [line for line in self.lines if line[0] == level and text in line[1]]
        assert len(found) == 1, (text, self.lines)
        return found[0][1]


@pytest.fixture
def house():
    made = House()

    def observe(event):
        if str(event.get("log_namespace", "")).startswith("kvd.proxy"):
            text = event["log_format"].format(**event)
            made.lines.append((event["log_level"].name, text))

    globalLogPublisher.addObserver(observe)
    yield made
    globalLogPublisher.removeObserver(observe)


def test_a_proxy_asks_where_the_members_are_and_then_serves(house):
    house.start(warnings=["option x is odd"], source="kvd.yml")
    assert not house.reactor.ports["127.0.0.1", 2379].reading
    assert house.dialled() == [("10.0.0.1", 2380)]
    assert house.served == []
    house.tell_members()
    assert house.served == [None]
    assert house.process.said == [("prepare", 2), "recovered", "serving"]
    assert house.reactor.ports["127.0.0.1", 2379].reading
    house.line("warn", "option x is odd")
    house.line("info", "configuration from kvd.yml")
    house.line("info", "clients on http://127.0.0.1:2379")
    house.line("info", "peer URLs http://10.0.0.1:2380")
    house.line("info", "ready to serve")
    transport = house.client(GET)
    assert house.dialled() == [("10.0.0.2", 2379)]
    protocol, upstream = house.connect()
    assert upstream.value().startswith(b"GET /v2/keys/a HTTP/1.1\r\n")
    protocol.dataReceived(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert transport.value().endswith(b"\r\n\r\nok")
    house.stop()
    house.line("info", "stopped")


def test_it_serves_though_nobody_answered_and_goes_on_asking(house):
    house.start()
    house.refuse()
    house.refuse()
    assert house.served == [None]
    assert b" 503 Service Unavailable\r\n" in house.client(GET).value()
    house.run(1.1)
    house.tell_members()
    house.client(GET)
    assert house.dialled() == [("10.0.0.2", 2379)]
    house.stop()


def test_the_next_start_asks_the_peers_that_were_written_down(house):
    house.start().tell_members()
    house.stop()
    house.lines.clear()
    house.start()
    house.line("info", "http://10.0.0.2:2380, as written in the data folder")
    assert house.dialled() == [("10.0.0.2", 2380)]
    house.stop()


def test_peers_can_be_given(house):
    house.start(peer_urls=["http://10.9.9.9:2380"])
    assert house.dialled() == [("10.9.9.9", 2380)]
    house.stop()


def test_a_mode_that_only_reads_is_said(house):
    house.start(Config(**{**_fields(CONFIG), "proxy": "readonly"}))
    house.line("info", "which may only read")
    house.stop()


def _fields(config):
    return {name: getattr(config, name) for name in Config.__slots__ if name[0] != "_"}


def test_no_more_clients_are_taken_than_the_process_has_descriptors_for(house):
    class Poor(Process):
        def __init__(self):
            super().__init__(descriptors_for=1)

    house.process_kind = Poor
    house.start()
    house.tell_members()
    metrics = GET.replace(b"/v2/keys/a", b"/metrics")
    assert b"\nkvd_connections_max 1.0\n" in house.client(metrics).value()
    assert b"too many connections" in house.client(GET).value()
    house.stop()


def test_the_metrics_tell_what_became_of_requests(house):
    house.start(
        Config(**{**_fields(CONFIG), "listen_metrics_urls": ("http://[::1]:9",)})
    )
    house.line("warn", "listen-metrics-urls is ignored")
    house.tell_members()
    house.client(GET)
    protocol, _ = house.connect()
    protocol.dataReceived(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    house.client(GET.replace(b"GET", b"PUT"))
    house.refuse()
    page = house.client(GET.replace(b"/v2/keys/a", b"/metrics")).value().decode()
    for line in (
        'etcd_proxy_requests_total{method="GET"} 1.0',
        'etcd_proxy_handled_total{code="404",method="GET"} 1.0',
        'etcd_proxy_handling_duration_seconds_count{method="GET"} 1.0',
        "kvd_proxy_endpoints 1.0",
        'etcd_proxy_requests_total{method="PUT"} 1.0',
        'etcd_proxy_dropped_total{method="PUT",proxying_error="failed_sending_request"} 1.0',
        'etcd_proxy_dropped_total{method="PUT",proxying_error="failed_getting_response"} 1.0',
        "kvd_proxy_endpoints_available 0.0",
        "kvd_proxy_bodies_bytes 0.0",
        "kvd_connections 3.0",
        "kvd_connections_max 10000.0",
        "kvd_event_loop_stalls_total 0.0",
    ):
        assert f"\n{line}\n" in page, line
    assert "process_open_fds" in page
    house.stop()


def test_a_port_in_use_ends_the_start(house):
    house.start(taken={2379})
    assert house.process.said == [("prepare", 2), 1]
    assert "listen-client-urls" in house.line("critical", "Address already in use")
    house.stop()


def test_a_folder_in_use_ends_the_start(house):
    first = house.start()
    reactor, service = first.reactor, first.service
    house.start()
    assert house.process.said == [("prepare", 2), 1]
    house.line("critical", "cannot start: data-dir: /data/lock: another kvd")
    house.stop()
    house.reactor, house.service = reactor, service
    house.stop()


def test_a_file_that_cannot_be_read_ends_the_start(house):
    house.disk.make_folder("/data/proxy")
    file = house.disk.create("/data/proxy/cluster")
    file.append(b"nonsense")
    file.close()
    house.start()
    assert house.process.said == [("prepare", 2), 1]
    house.line("critical", "cannot start: data-dir: /data/proxy/cluster: ")
    house.stop()


def test_a_bug_ends_the_start(house, logged_failures):
    class Failing(Process):
        def prepare(self, *, sockets_each=1):
            raise ZeroDivisionError

    house.process_kind = Failing
    house.start()
    assert house.process.said == [1]
    assert logged_failures.pop().check(ZeroDivisionError)
    house.stop()


def test_a_stop_while_nobody_has_answered_yet_ends_the_question(house):
    house.start()
    assert house.served == []
    house.stop()
    assert house.served == []
    assert house.process.said == [("prepare", 2)]


def test_after_a_stop_others_may_have_the_folder(house):
    house.start()
    house.stop()
    assert not house.disk.locked
    assert house.reactor.ports["127.0.0.1", 2379].closed


def test_who_stops_it_again_waits_for_the_same_end(house):
    service = house.start().service
    stops = [service.stopService(), service.stopService()]
    house.run(6)
    stops.append(service.stopService())
    assert [each.called for each in stops] == [True, True, True]
    house.line("info", "stopped")


def test_a_stop_ends_a_watch_and_closes_the_members_connection(house):
    house.start().tell_members()
    transport = house.client(GET.replace(b"/a ", b"/a?wait=true "))
    protocol, upstream = house.connect()
    protocol.dataReceived(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    house.service.stopService()
    house.run()
    assert transport.value().endswith(b"\r\n\r\n0\r\n\r\n")
    assert upstream.disconnecting
    house.run(6)


def test_peers_that_cannot_be_written_down_are_no_reason_to_stop(house):
    house.start()
    house.disk.failing_syncs = 1
    house.tell_members()
    assert house.served == [None]
    house.line("error", "cannot write the peer URLs")
    house.stop()


NOWHERE = attrs.evolve(CONFIG, initial_cluster=())


class Finding:
    """Tells where the members are when the test does."""

    def __init__(self):
        self.asked = 0
        self.told = Deferred()

    async def __call__(self):
        self.asked += 1
        return await self.told


def test_a_proxy_may_have_to_find_out_who_the_members_are(house):
    find = Finding()
    house.start(NOWHERE, find=find)
    assert house.dialled() == []
    find.told.callback(("http://10.0.0.1:2380",))
    house.run()
    assert house.dialled() == [("10.0.0.1", 2380)]
    house.tell_members()
    assert house.served == [None]
    house.stop()
    # From then on they are written down.
    house.start(NOWHERE, find=find)
    assert house.dialled() == [("10.0.0.2", 2380)]
    assert find.asked == 1
    house.stop()


def test_who_knows_members_need_not_find_any(house):
    find = Finding()
    house.start(find=find)
    assert house.dialled() == [("10.0.0.1", 2380)]
    assert find.asked == 0
    house.stop()


def test_a_proxy_that_finds_nobody_does_not_start(house):
    find = Finding()
    house.start(NOWHERE, find=find)
    find.told.errback(ConfigError(["discovery-srv: nobody"]))
    house.run()
    house.line("critical", "cannot start: discovery-srv: nobody")
    assert house.process.said == [("prepare", 2), 1]
    house.stop()


def test_a_stop_ends_the_search(house):
    house.start(NOWHERE, find=Finding())
    house.stop()
    assert not any(level == "critical" for level, _ in house.lines)
    assert house.process.said == [("prepare", 2)]
