"""A member as a service: everything real but the reactor, the disk and the worker."""

from __future__ import annotations

import errno
import itertools
from random import Random

import attrs
import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure

from kvd.apply.request import Request, RequestId, encode_request, peek_request_id
from kvd.cluster.facts import ClusterFacts
from kvd.cluster.members import MemberRecord
from kvd.compose import folder_problem, node_settings
from kvd.config import Config
from kvd.errors import InvariantViolated, PeerError, RequestError, StorageError
from kvd.histogram import Histogram
from kvd.options.table import BY_NAME
from kvd.peer.founding import ASK_SECONDS
from kvd.peer.sending import Refused
from kvd.peer.settings import PeerSettings
from kvd.raft.codec import encode_message
from kvd.raft.messages import AppendEntries, Entry, EntryKind, Heartbeat
from kvd.service import KvdService
from kvd.storage.data_dir import Identity
from kvd.testing.disk import SimulatedDisk
from kvd.v2.commands import Command, Op, encode_command

CONFIG = Config(
    data_dir="/data",
    listen_client_urls=("http://127.0.0.1:2379",),
    listen_peer_urls=("http://127.0.0.1:2380", "http://[::1]:2380"),
)
THREE = attrs.evolve(
    CONFIG,
    initial_cluster=(
        ("default", ("http://localhost:2380",)),
        ("second", ("http://10.0.0.2:2380",)),
        ("third", ("http://third.example:2380",)),
    ),
)


class Port:
    """A listening port of the reactor below."""

    def __init__(self, host, port, factory):
        self.where = (host, port)
        self.factory = factory
        self.reading = True
        self.closed = False

    def startReading(self):
        self.reading = True

    def stopReading(self):
        self.reading = False

    def stopListening(self):
        self.closed = True
        self.factory.doStop()
        return succeed(None)


class Reactor(MemoryReactorClock):
    """Ports that can be in use, and not read from."""

    def __init__(self):
        super().__init__()
        self.taken = set()
        self.ports = {}

    def listenTCP(self, port, factory, backlog=50, interface=""):
        if port in self.taken:
            problem = OSError(errno.EADDRINUSE, "Address already in use")
            raise CannotListenError(interface, port, problem)
        factory.doStart()
        opened = self.ports[interface, port] = Port(interface, port, factory)
        return opened


class Worker:
    """Runs a job in the next turn."""

    def __init__(self, clock):
        self.clock = clock
        self.stopped = False
        self.held = False
        self.hold_when = lambda: False
        self.jobs = []

    def call(self, job):
        done = Deferred()
        self.jobs.append((job, done))
        self.clock.callLater(0, self._next)
        return done

    def _next(self):
        if self.held:
            return
        job, done = self.jobs.pop(0)
        try:
            result = job()
            self.held = self.hold_when()
        except BaseException as error:
            done.errback(error)
        else:
            done.callback(result)

    def release(self):
        self.held = False
        for _ in list(self.jobs):
            self._next()

    def stop(self):
        self.stopped = True
        done = Deferred()
        self.clock.callLater(0, done.callback, None)
        return done


class Process:
    """What the service says to its process."""

    gc_pauses = (Histogram((1.0,)),)

    def __init__(self, descriptors_for=None):
        self.said = []
        self.descriptors_for = descriptors_for

    def log_from(self, level):
        self.said.append(level)
        return True

    def prepare(self):
        self.said.append("prepare")
        return self.descriptors_for

    def on_hangup(self, callback):
        self.hangup = callback

    def recovered(self):
        self.said.append("recovered")

    def serving(self):
        self.said.append("serving")

    def end(self, status):
        self.said.append(status)


class House:
    """One computer on which members live one after the other."""

    def __init__(self, config=CONFIG):
        self.config = config
        self.disk = SimulatedDisk(Random(1))
        self.reactor = Reactor()
        self.lines = []

    def start(self, config=None, *, reactor=None, descriptors_for=None, **others):
        self.reactor = reactor or Reactor()
        self.process = Process(descriptors_for)
        self.worker = Worker(self.reactor)
        self.service = KvdService(
            reactor=self.reactor,
            config=config or self.config,
            process=self.process,
            disk=self.disk,
            worker=self.worker,
            **others,
        )
        self.service.startService()
        return self.service

    def run(self, seconds=3.0):
        for _ in range(int(seconds / 0.01)):
            self.reactor.advance(0.01)

    def one_call(self):
        """What ``advance`` does with a call that is due, but only one of them."""
        clock = self.reactor
        clock.rightNow = max(clock.rightNow, clock.calls[0].getTime())
        call = clock.calls.pop(0)
        call.called = 1
        call.func(*call.args, **call.kw)

    def stop(self):
        ended = []
        self.service.stopService().addCallback(ended.append)
        for _ in range(300):
            if ended:
                return
            self.reactor.advance(0.05)
        pytest.fail("the service does not stop")

    def ask(self, request, port=2379):
        port = self.reactor.ports["127.0.0.1", port]
        assert port.reading
        protocol = port.factory.buildProtocol(None)
        transport = Transport(protocol, self.reactor)
        protocol.makeConnection(transport)
        protocol.dataReceived(request)
        self.run(0.2)
        return transport.value()

    def line(self, *, level, text):
        found = [line for line in self.lines if line[0] == level and text in line[1]]
        assert len(found) == 1, (text, self.lines)
        return found[0][1]


class Transport(StringTransport):
    """Closes, when it is asked to, in a later turn."""

    def __init__(self, protocol, clock):
        super().__init__()
        self._protocol = protocol
        self._clock = clock

    def loseConnection(self):
        if not self.disconnecting:
            self.disconnecting = True
            gone = Failure(ConnectionDone())
            self._clock.callLater(0, self._protocol.connectionLost, gone)

    abortConnection = loseConnection


@pytest.fixture
def house():
    made = House()

    def observe(event):
        if str(event.get("log_namespace", "")).startswith(
            ("kvd.service", "kvd.beginning")
        ):
            text = event["log_format"].format(**event)
            made.lines.append((event["log_level"].name, text))

    globalLogPublisher.addObserver(observe)
    yield made
    globalLogPublisher.removeObserver(observe)


PUT = (
    b"PUT /v2/keys/a HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\nvalue=1"
)
GET = b"GET /v2/keys/a HTTP/1.1\r\nHost: x\r\n\r\n"


def test_no_more_clients_are_taken_than_the_process_has_descriptors_for(house):
    house.start(descriptors_for=1)
    house.run()
    assert b"HTTP/1.1 404" in house.ask(GET)  # and stays
    assert b"too many connections" in house.ask(GET)
    house.stop()


def test_a_new_member_founds_its_cluster_and_serves(house):
    service = house.start(warnings=["option x is odd"], source="kvd.yml")
    served = []
    service.serving.addCallback(served.append)
    house.run()
    assert served == [None]
    assert house.process.said == ["prepare", "recovered", "serving"]
    assert house.line(level="warn", text="odd") == "option x is odd"
    house.line(level="info", text="configuration from kvd.yml")
    house.line(level="info", text="data in /data")
    house.line(level="info", text="members on http://127.0.0.1:2380,http://[::1]:2380")
    house.line(level="info", text="clients on http://127.0.0.1:2379")
    house.line(level="info", text="member default, id 8e9e05c52164694d, of cluster")
    house.line(level="info", text="new cluster of default")
    assert not any("recovered in" in text for _, text in house.lines)
    house.line(level="info", text="ready to serve")
    assert b"201 Created" in house.ask(PUT)
    house.stop()


def test_a_second_start_recovers(house):
    house.start()
    house.run()
    house.line(level="info", text="configuration from the program around it")
    house.ask(PUT)
    house.stop()
    assert house.lines[-1] == ("info", "stopped")
    house.lines.clear()
    # What founded the cluster is not looked at any more.
    house.start(attrs.evolve(THREE, name="other", initial_cluster_token="other"))
    house.run()
    assert not any("new cluster" in text for _, text in house.lines)
    house.line(level="info", text="recovered in 0.0 s: ")
    house.line(level="info", text="member other, id 8e9e05c52164694d, of cluster")
    assert b'"value":"1"' in house.ask(GET)
    house.stop()


def test_a_snapshot_is_what_a_later_start_begins_with(house):
    config = attrs.evolve(CONFIG, snapshot_count=3, snapshot_catchup_entries=1)
    house.start(config)
    house.run()
    for _ in range(5):
        house.ask(PUT)
    house.stop()
    house.lines.clear()
    house.start(config)
    house.run()
    house.line(level="info", text="snapshot at index")
    assert b'"value":"1"' in house.ask(GET)
    house.stop()


def test_a_restart_applies_the_log_in_slices(house):
    house.start()
    house.run()
    head, _ = PUT.split(b"\r\n\r\n")
    value = b"value=" + b"x" * 30_000
    put = head.replace(b": 7", b": %d" % len(value)) + b"\r\n\r\n" + value
    for _ in range(60):
        assert b"\r\n\r\n" in house.ask(put)
    house.stop()
    service = house.start()
    applied = [0]
    while applied[-1] < 60:
        assert house.process.said == ["prepare"], house.lines
        if service._parts is not None:
            applied.append(service._parts.node.applied_index)
        house.one_call()
    slices = [now - before for before, now in itertools.pairwise(applied)]
    assert max(slices) <= 8 * 3
    house.stop()


def test_a_damaged_newest_snapshot_loses_nothing(house):
    """The log is let go only up to the snapshot before the newest, life after life."""
    config = attrs.evolve(
        CONFIG,
        snapshot_count=3,
        snapshot_catchup_entries=0,
        segment_bytes=600,
        max_wals=1,
        max_snapshots=2,
    )
    folder = "/data/member/snap"
    chance = Random(3)
    number = 0
    for _ in range(6):
        house.start(config)
        house.run(2.0)
        if number:
            assert b'"value":"%d"' % number in house.ask(GET)
        for _ in range(chance.randint(1, 20)):
            number += 1
            put = PUT.replace(b": 7", b": %d" % len(b"value=%d" % number))
            put = put.removesuffix(b"value=1") + b"value=%d" % number
            assert b'"value":"%d"' % number in house.ask(put)
        if chance.random() < 0.5:
            house.stop()
        else:
            house.disk.power_cut()
        name = [name for name in house.disk.list(folder) if name.endswith(".snap")][-1]
        path = f"{folder}/{name}"
        house.disk.truncate(path, chance.randrange(house.disk.size(path)))
    assert house.disk.list("/data/member/wal")[0] > "0000000000000010"
    assert any("this snapshot is not used" in line for _, line in house.lines)


def test_no_two_lives_number_a_request_alike(house, monkeypatch):
    """The wall clock stands still here; it may even be set back over a restart."""
    monkeypatch.setattr("kvd.service.time.time_ns", lambda: 1_700_000_000 * 10**9)
    for _ in range(3):
        service = house.start()
        house.run()
        house.ask(PUT)
        house.stop()
    entries = service._opened.recovered.entries
    ids = [
        peek_request_id(entry.data)
        for entry in entries
        if entry.kind is EntryKind.NORMAL
    ]
    assert len(ids) > 4
    assert len(set(ids)) == len(ids)


def test_the_longest_request_fits_into_a_message_between_members():
    """One that does not would stay at the end of its leader's log for ever."""
    longest = BY_NAME["request-bytes-max"].kind.maximum
    settings = node_settings(
        Config(request_bytes_max=longest), Identity(member_id=1, cluster_id=2)
    )
    body = bytes(settings.request_bytes_max)
    data = encode_request(Request("x" * 255, RequestId(1, 1), 0, body))
    entry = Entry(1 << 62, 1 << 62, EntryKind.NORMAL, data)
    append = AppendEntries(1, 2, 1 << 62, 0, 0, (entry,), 1 << 62)
    assert len(encode_message(append)) <= PeerSettings().message_bytes_max


@pytest.mark.parametrize("strict", [True, False])
def test_strict_reconfig_check_reaches_the_core(house, strict):
    service = house.start(attrs.evolve(CONFIG, strict_reconfig_check=strict))
    house.run()
    config = service._parts.node._raft._state.config
    assert config.strict_reconfig is strict
    house.stop()


METRICS = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
READY = b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"
LOG = b"PUT /config/local/log HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"


def test_metrics_and_probes_have_ports_of_their_own(house):
    urls = ("http://127.0.0.1:9379",)
    house.start(attrs.evolve(THREE, listen_metrics_urls=urls))
    house.run(ASK_SECONDS + 5.0)  # the other two are silent
    house.line(level="info", text="metrics and health on http://127.0.0.1:9379")
    page = house.ask(METRICS, 9379)
    assert b"\netcd_server_has_leader 0.0\n" in page
    assert page.count(b"\netcd_network_active_peers{") == 2
    assert b"etcd_cluster_version{" not in page
    unready = house.ask(READY, 9379)
    assert unready.startswith(b"HTTP/1.1 503 ")
    assert b"[-]published failed" in unready
    assert house.ask(METRICS) == b""
    port = house.reactor.ports["127.0.0.1", 9379]
    house.stop()
    assert port.closed


def test_a_port_for_metrics_in_use_is_one_line(house):
    reactor = Reactor()
    reactor.taken = {9379}
    urls = ("http://127.0.0.1:9379",)
    house.start(attrs.evolve(CONFIG, listen_metrics_urls=urls), reactor=reactor)
    house.run(0.1)
    text = "cannot start: listen-metrics-urls: cannot listen on http://127.0.0.1:9379:"
    house.line(level="critical", text=text)
    house.stop()


def test_metrics_tell_what_a_member_has_done(house):
    service = house.start(attrs.evolve(CONFIG, snapshot_count=3))
    house.run()
    for _ in range(5):
        house.ask(PUT)
    house.ask(GET)
    house.ask(b"GET /v2/keys/no?recursive=true HTTP/1.1\r\nHost: x\r\n\r\n")
    house.run(1.0)
    page = house.ask(METRICS).decode()
    for line in (
        "etcd_server_is_leader 1.0",
        'etcd_server_id{server_id="8e9e05c52164694d"} 1.0',
        'etcd_cluster_version{cluster_version="3.4"} 1.0',
        'etcd_http_received_total{method="PUT"} 5.0',
        'etcd_http_failed_total{code="404",method="GET"} 1.0',
        'etcd_http_successful_duration_seconds_count{method="GET"} 1.0',
        'etcd_debugging_store_reads_total{action="getRecursive"} 1.0',
        'etcd_debugging_store_writes_total{action="set"} 7.0',
        'kvd_gc_pause_seconds_count{generation="0"} 0.0',
        "kvd_connections 8.0",
    ):
        assert line in page.split("\n"), line
    newest = service._parts.node.figures.snapshot
    assert f"kvd_snapshot_index {newest.index}.0\n" in page
    assert "kvd_snapshot_age_seconds 1." in page
    house.stop()


def test_the_level_of_the_log_reaches_the_process(house):
    house.start()
    house.run()
    for body in (b'{"Level":"loud"}', b'{"Level":"W"}'):
        said = house.ask(LOG % (len(body), body))
    assert said.startswith(b"HTTP/1.1 204 ")
    assert house.process.said == ["prepare", "recovered", "serving", "warn"]
    house.stop()


def test_clients_wait_until_there_is_a_leader(house):
    house.start(THREE)
    house.run(ASK_SECONDS + 5.0)  # the other two are silent
    house.line(level="info", text="new cluster of default, second, third")
    assert house.ask(GET) == b""
    assert "recovered" not in house.process.said
    assert not house.service.serving.called
    house.stop()


def test_the_ports_are_closed_and_the_files_let_go_of(house):
    house.start()
    house.run()
    ports = list(house.reactor.ports.values())
    assert [port.where for port in ports] == [
        ("127.0.0.1", 2380),
        ("::1", 2380),
        ("127.0.0.1", 2379),
    ]
    house.stop()
    assert all(port.closed for port in ports)
    assert house.worker.stopped
    assert house.reactor.getDelayedCalls() == []
    house.disk.lock("/data/lock").release()


def test_ports_in_use_are_each_one_line_and_nothing_is_touched(house):
    reactor = Reactor()
    reactor.taken = {2379, 2380}
    house.start(reactor=reactor)
    house.run(0.1)
    assert house.process.said == ["prepare", 1]
    assert [text for level, text in house.lines if level == "critical"] == [
        f"cannot start: {option}: cannot listen on {url}: Address already in use; "
        "expected a free address of this machine"
        for option, url in (
            ("listen-peer-urls", "http://127.0.0.1:2380"),
            ("listen-peer-urls", "http://[::1]:2380"),
            ("listen-client-urls", "http://127.0.0.1:2379"),
        )
    ]
    house.stop()
    assert not house.disk.exists("/data")


def test_a_folder_in_use_is_one_line(house):
    house.disk.make_folder("/data")
    taken = house.disk.lock("/data/lock")
    house.start()
    house.run(0.1)
    assert house.process.said == ["prepare", 1]
    text = "cannot start: data-dir: /data/lock: another kvd"
    house.line(level="critical", text=text)
    house.stop()
    taken.release()


def denied(path):
    return StorageError("denied", path=path)


@pytest.mark.parametrize(
    ("wal_dir", "error", "line"),
    [
        ("", denied("/here/data"), "data-dir: /here/data: denied"),
        ("", denied("/here/data/lock"), "data-dir: /here/data/lock: denied"),
        ("data/log", denied("/here/data"), "data-dir: /here/data: denied"),
        ("data/log", denied("/here/data/log/a"), "wal-dir: /here/data/log/a: denied"),
        ("log", denied("/here/log"), "wal-dir: /here/log: denied"),
        ("log", denied("/here/data/a"), "data-dir: /here/data/a: denied"),
        (
            "",
            StorageError("x", path="/here/data/a", offset=7),
            "data-dir: /here/data/a at offset 7: x",
        ),
        # A folder above them, one beside them, or no path at all.
        ("", denied("/here"), "data-dir /here/data: /here: denied"),
        ("log", denied("/"), "data-dir /here/data: /: denied"),
        ("/log/of/a", denied("/log"), "wal-dir /log/of/a: /log: denied"),
        ("", denied("/here/data2"), "data-dir /here/data: /here/data2: denied"),
        ("log", StorageError("full"), "data-dir /here/data: full"),
        ("log", Refused("no"), "data-dir /here/data: no"),
    ],
)
def test_a_path_is_named_once_and_absolute(monkeypatch, wal_dir, error, line):
    monkeypatch.setattr("os.getcwd", lambda: "/here")
    assert folder_problem(Config(data_dir="data", wal_dir=wal_dir), error) == line


def test_a_folder_that_may_not_be_made_is_one_line(house):
    def make_folder(path):
        raise PermissionError(errno.EACCES, "Permission denied", path)

    house.disk.make_folder = make_folder
    house.start(attrs.evolve(CONFIG, wal_dir="/log"))
    house.run(0.1)
    assert house.process.said == ["prepare", 1]
    text = house.line(level="critical", text="Permission denied")
    assert text == "cannot start: data-dir: /data: Permission denied"
    house.stop()


def test_a_member_that_is_not_a_founder_does_not_begin(house):
    house.start(attrs.evolve(CONFIG, name="stranger"))
    house.run(0.1)
    assert house.process.said == ["prepare", 1]
    house.line(level="critical", text='couldn\'t find local name "stranger"')
    house.stop()
    assert not house.disk.exists("/data/member/identity")


class Answer:
    """What the other founders say about this one."""

    def __init__(self, answer):
        self.answer = answer

    def __call__(self, *_asked, **_others):
        return self

    async def ask(self):
        return await self.answer


def test_a_member_that_lost_its_data_does_not_begin_again(house, monkeypatch):
    # V2-SPEC 15.2: it has forgotten whom it voted for and what it acknowledged.
    said = fail(Refused("member 1 has already been bootstrapped"))
    monkeypatch.setattr("kvd.beginning.founding", Answer(said))
    house.start(THREE)
    house.run(0.1)
    assert house.process.said == ["prepare", 1]
    text = "data-dir /data: member 1 has already been bootstrapped"
    house.line(level="critical", text=text)
    house.stop()
    assert not house.disk.exists("/data/member/identity")


def test_a_stop_ends_the_question_and_nothing_was_begun(house):
    house.start(THREE)
    house.run(0.1)
    house.line(level="info", text="asking the other founders")
    ports = [house.reactor.ports[where, 2380] for where in ("127.0.0.1", "::1")]
    assert all(port.reading for port in ports)  # whoever asks us is turned away
    assert all(port.factory.buildProtocol(None) is None for port in ports)
    house.stop()
    assert house.process.said == ["prepare"]
    assert not any(level == "critical" for level, _ in house.lines)
    assert not house.disk.exists("/data/member/identity")


def test_a_founding_that_was_cut_short_is_done_again(house):
    house.start()
    house.worker.hold_when = lambda: house.disk.exists("/data/member/identity")
    house.run(0.1)
    assert not any("new cluster" in text for _, text in house.lines)
    house.disk.process_end()  # the first entries were not written
    house.lines.clear()
    house.start()
    house.run()
    house.line(level="info", text="new cluster of default")
    house.line(level="info", text="ready to serve")
    house.stop()


def test_a_founding_that_was_cut_short_is_not_another_ones(house):
    house.start()
    house.worker.hold_when = lambda: house.disk.exists("/data/member/identity")
    house.run(0.1)
    assert not any("new cluster" in text for _, text in house.lines)
    house.disk.process_end()
    house.start(attrs.evolve(CONFIG, initial_cluster_token="another"))
    house.run()
    house.line(level="critical", text="initial-cluster: was another one")
    assert house.process.said == ["prepare", 1]
    house.stop()


def test_the_event_history_survives_restarts_from_a_snapshot(house):
    """5,000 events of it, with an option that is raised and lowered between."""
    larger = attrs.evolve(
        CONFIG, event_history=5000, snapshot_count=1500, snapshot_catchup_entries=0
    )
    house.start(larger)
    house.run()
    for _ in range(50):
        for number in range(100):
            body = encode_command(Command(Op.SET, "/k", str(number)))
            house.service._parts.node.propose("v2", body)
        house.run(0.1)

    def first_event(since):
        watched = house.service._parts.v2.watch(
            "/", recursive=True, stream=False, since=since, callback=house.lines.append
        )
        return watched.event.node.modified_index

    index = house.service._parts.v2.index
    first = index - 4999
    assert first_event(first) == first
    house.stop()
    # Each start is an event, too; the snapshot itself holds some that are older.
    for size, oldest in ((5000, first + 1), (10_000, first), (2000, index - 1996)):
        house.lines.clear()
        house.start(attrs.evolve(larger, event_history=size))
        house.run()
        house.line(level="info", text="recovered in 0.0 s: snapshot at index 4")
        assert first_event(oldest) == oldest
        if size <= 5000:
            with pytest.raises(RequestError, match="cleared"):
                first_event(oldest - 1)
        house.stop()


def joining(*answers):
    """What the members of a cluster answer, one question after the other."""
    left = list(answers)

    async def ask_members(*args, **options):
        return await left.pop(0)

    return ask_members


EXISTING = attrs.evolve(THREE, initial_cluster_state="existing")
FACTS = ClusterFacts(
    0xC1,
    "3.4.0",
    (
        MemberRecord(1, "", ("http://127.0.0.1:2380",), (), learner=True),
        MemberRecord(2, "second", ("http://10.0.0.2:2380",), ("http://10.0.0.2:1",)),
        MemberRecord(3, "third", ("http://third.example:2380",), ("http://t:1",)),
    ),
)


def test_a_member_that_joins_waits_for_the_leader_of_its_cluster(house, monkeypatch):
    monkeypatch.setattr("kvd.joining.ask_members", joining(succeed(FACTS)))
    house.start(EXISTING)
    house.run(0.5)
    house.line(level="info", text="joining cluster c1 of 3 members")
    house.line(level="info", text="member default, id 1, of cluster c1")
    parts = house.service._parts
    assert parts.cluster.members() == ()
    assert set(parts.transport._peers) == {2, 3}
    assert not parts.node.is_leader
    house.run(5)
    assert parts.node.status().raft.term == 0
    house.stop()
    # Joining again in the middle of it is safe, also while nobody answers.
    house.lines.clear()
    nobody = fail(PeerError("nobody")), fail(PeerError("nobody"))
    monkeypatch.setattr("kvd.joining.ask_members", joining(*nobody))
    house.start(EXISTING)
    house.run(0.5)
    house.line(level="info", text="member default, id 1, of cluster c1")
    house.stop()


def test_what_a_joining_member_heard_is_kept_over_a_restart(house, monkeypatch):
    monkeypatch.setattr("kvd.joining.ask_members", joining(succeed(FACTS)))
    house.start(EXISTING)
    house.run(0.5)
    house.service._parts.node.received(Heartbeat(1, 2, 7, 0, 1))
    house.run(0.5)
    assert house.service._parts.node.status().raft.term == 7
    house.run(5)
    house.stop()
    monkeypatch.setattr("kvd.joining.ask_members", joining(succeed(FACTS)))
    house.start(EXISTING)
    house.run(0.5)
    assert house.service._parts.node.status().raft.term >= 7
    assert set(house.service._parts.transport._peers) == {2, 3}
    house.stop()


def test_a_joiner_that_is_no_member_begins_nothing(house, monkeypatch):
    facts = attrs.evolve(FACTS, members=FACTS.members[1:])
    answers = succeed(facts), succeed(facts)
    monkeypatch.setattr("kvd.joining.ask_members", joining(*answers))
    house.start(EXISTING)
    house.run(0.5)
    assert house.process.said == ["prepare", 1]
    house.line(level="critical", text="cannot start: initial-cluster: error validating")
    house.stop()
    assert not house.disk.exists("/data/member/identity")


def test_a_stop_while_the_disk_is_read_waits_for_it(house):
    house.start()
    house.worker.held = True
    house.run(0.1)
    ended = []
    house.service.stopService().addCallback(ended.append)
    house.run(0.1)
    assert ended == []
    house.worker.release()
    house.run(0.5)
    assert ended == [None]
    assert house.worker.stopped
    assert house.reactor.getDelayedCalls() == []


def test_an_error_of_ours_at_the_start_is_logged_whole(house, logged_failures):
    house.start()
    house.disk.make_folder = None
    house.run(0.1)
    assert house.process.said == ["prepare", 1]
    (failure,) = logged_failures
    assert failure.check(TypeError)
    logged_failures.clear()
    house.stop()


def test_exception_in_raft_core_is_fatal(house, monkeypatch, logged_failures):
    """T03: nothing half updated lives on behind a logged failure."""
    house.start()
    house.run()
    raft = house.service._parts.node._raft

    def tick():
        raise InvariantViolated("planted")

    monkeypatch.setattr(raft, "tick", tick)
    house.run(0.5)
    assert house.process.said == ["prepare", "recovered", "serving", 1]
    line = house.line(level="critical", text="InvariantViolated: planted")
    assert "start it again" in line
    assert all(failure.check(InvariantViolated) for failure in logged_failures)
    logged_failures.clear()
    house.stop()


def test_a_failed_sync_ends_the_member(house, monkeypatch, logged_failures):
    house.start()
    house.run()
    monkeypatch.setattr(
        house.service._opened.persistence,
        "_save",
        lambda *_: (_ for _ in ()).throw(StorageError("planted", path="/data/x")),
    )
    answer = house.ask(PUT)
    assert b"201" not in answer
    assert house.process.said == ["prepare", "recovered", "serving", 1]
    house.line(level="critical", text="StorageError: /data/x: planted")
    logged_failures.clear()
    house.stop()


def test_a_removed_member_ends_and_says_what_to_do(house):
    house.start()
    house.run()
    house.service._parts.node.removed("it was removed")
    assert house.process.said == ["prepare", "recovered", "serving", 1]
    house.line(level="critical", text="remove its data folder /data")
    house.stop()


def test_who_waits_for_a_member_that_is_removed_is_told_at_once(house):
    house.start()
    house.run()
    house.service._parts.node._driver.stopped = True  # so that nothing is answered
    client = house.service._parts.site.buildProtocol(None)
    wire = Transport(client, house.reactor)
    client.makeConnection(wire)
    client.dataReceived(PUT)
    assert wire.value() == b""
    house.service._parts.node.removed("it was removed")
    began = house.reactor.seconds()
    house.stop()
    assert b"etcdserver: server stopped" in wire.value()
    assert house.reactor.seconds() - began < 1


def test_what_recovery_found_odd_is_said(house):
    house.start()
    house.run()
    house.stop()
    (name,) = house.disk.list("/data/member/wal")
    file = house.disk.append_to(f"/data/member/wal/{name}")
    file.append(b"\x01\x02\x03")  # a write that was cut short
    file.close()
    house.lines.clear()
    house.start()
    house.run()
    assert any(level == "warn" and name in text for level, text in house.lines)
    house.line(level="info", text="ready to serve")
    house.stop()


def test_an_error_while_it_begins_to_serve_ends_the_member(house, monkeypatch):
    house.start()
    house.process.recovered = None
    house.run()
    assert house.process.said == ["prepare", 1]
    house.line(level="critical", text="TypeError")
    house.stop()


def test_who_stops_it_again_waits_for_the_same_end(house):
    """A program that stops its member, and then its reactor with all services."""
    service = house.start()
    house.run()
    house.worker.held = True
    port = house.reactor.ports["127.0.0.1", 2379]
    protocol = port.factory.buildProtocol(None)
    protocol.makeConnection(Transport(protocol, house.reactor))
    protocol.dataReceived(b"PUT /v2/keys/a?value=1 HTTP/1.1\r\nHost: x\r\n\r\n")
    stops = [service.stopService()]
    house.run(0.1)
    stops.append(service.stopService())
    house.run(1)
    assert [each.called for each in stops] == [False, False]
    house.worker.release()
    house.run(7)
    stops.append(service.stopService())
    assert [each.called for each in stops] == [True, True, True]
    house.line(level="info", text="stopped")


def test_a_stop_before_there_is_a_leader_never_serves(house):
    service = house.start()
    while not service._parts:
        assert house.process.said == ["prepare"], house.lines
        house.reactor.advance(0)
    house.stop()
    service._serve(service._parts)
    assert not service.serving.called
    assert house.process.said == ["prepare"]


class Recorder:
    """Stands in for parts; writes down what the service asks of them, in order."""

    def __init__(self, name, calls, **answers):
        self._name = name
        self._calls = calls
        self._answers = answers

    def __getattr__(self, method):
        answer = self._answers.get(method)
        if isinstance(answer, bool):
            return answer

        def call(*arguments):
            self._calls.append((f"{self._name}.{method}", *arguments))
            return succeed(None) if answer is None else answer(*arguments)

        return call


@pytest.mark.parametrize("handed", [True, False])
def test_a_leader_hands_over_before_anything_is_closed(house, handed):
    """The order of T04; the real thing is in tests/integration."""
    service = house.start()
    house.run()
    parts = service._parts
    calls = []
    service._parts = Recorder("parts", calls)
    service._parts.node = Recorder(
        "node",
        calls,
        is_leader=True,
        successor=lambda: 7,
        transfer_leadership=lambda _: succeed(handed),
    )
    service._parts.site = Recorder("site", calls)
    service._parts.metrics = Recorder("metrics", calls)
    service._parts.transport = Recorder("transport", calls)
    service._parts.threads = Recorder("threads", calls)
    service._client_ports = Recorder("clients", calls)
    service._peer_ports = Recorder("peers", calls)
    service._metrics_ports = Recorder("metrics ports", calls)
    service._opened = Recorder("opened", calls)
    service._opened.persistence = Recorder("storage", calls)
    house.stop()
    assert calls == [
        ("node.successor",),
        ("node.transfer_leadership", 7),
        ("clients.close",),
        ("site.drain", 5.0),
        ("metrics ports.close",),
        ("metrics.drain", 5.0),
        ("node.stop",),
        ("peers.close",),
        ("transport.stop",),
        ("threads.stop",),
        ("storage.close",),
    ]
    text = "handed to 7" if handed else "7 did not take the leadership"
    house.line(level="info", text=text)
    parts.node.stop()


def test_the_identity_is_etcds():
    """For the same URLs and token the ids are those that etcd works out."""
    service = House().start()
    assert service is not None
    from kvd.compose import founders, identity_of

    members = founders(Config())
    assert identity_of(Config(), members) == Identity(
        0x8E9E05C52164694D, 0xCDF818194E3A8C32
    )
