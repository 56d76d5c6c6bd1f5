"""A client port without sockets: bytes in, bytes out, time moved by hand."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import directlyProvides

from kvd.cluster.machine import ClusterMachine
from kvd.cluster.members import MemberRecord
from kvd.config import Config
from kvd.errors import KvdError
from kvd.http.site import ClientSite
from kvd.node.interfaces import Applied, MemberStatus
from kvd.node.stats import RaftTraffic
from kvd.raft.messages import ConfigChange, Configuration, Role
from kvd.raft.status import ProgressStatus, RaftStatus
from kvd.v2.auth import Auth
from kvd.v2.machine import V2

NOW_NS = 1_700_000_000 * 10**9  # Tue, 14 Nov 2023 22:13:20 GMT
MEMBER_ID = 0xD15CD804F6DE6AAF
CLUSTER_ID = 0xD141B266CA1A82CC
CORS = (
    "Access-Control-Allow-Headers: accept, content-type, authorization\r\n"
    "Access-Control-Allow-Methods: POST, GET, OPTIONS, PUT, DELETE\r\n"
    "Access-Control-Allow-Origin: *\r\n"
)
DATE = "Date: Tue, 14 Nov 2023 22:13:20 GMT\r\n"


class FakeMember:
    """Applies what was proposed when it is told to, or fails with what it was told."""

    member_id = MEMBER_ID
    cluster_id = CLUSTER_ID

    def __init__(self, v2: V2, auth: Auth) -> None:
        self.v2 = v2
        self.machines = {"v2": v2, "auth": auth}
        self.commit_index = 7
        self.applied_index = 7
        self.applied_term = 2
        self.leader = MEMBER_ID
        self.is_leader = True
        self.out_of_space = False
        self.ready = True
        self.raft = RaftStatus(
            member_id=MEMBER_ID,
            role=Role.LEADER,
            term=2,
            vote=MEMBER_ID,
            leader=MEMBER_ID,
            commit=7,
            applied=6,
            last_index=8,
            first_index=1,
            configuration=Configuration(frozenset({MEMBER_ID, 0x1F}), frozenset()),
            transferring_to=0,
            progress=(ProgressStatus(0x1F, 5, 6, "probe", True, False),),
        )
        self.proposals: list[tuple[Deferred, str, bytes]] = []
        self.reads: list[Deferred] = []
        self.changes: list[tuple[Deferred, ConfigChange]] = []
        self.cluster = ClusterMachine()  # what changes are applied to
        self.cancelled = 0
        self.refusal: KvdError | None = None  # at once

    def propose(self, machine: str, body: bytes) -> Deferred:
        if self.refusal is not None:
            return fail(self.refusal)
        waiting: Deferred = Deferred(self._cancelled)
        self.proposals.append((waiting, machine, body))
        return waiting

    def read_index(self) -> Deferred:
        waiting: Deferred = Deferred(self._cancelled)
        self.reads.append(waiting)
        return waiting

    def reconfigure(self, change: ConfigChange) -> Deferred:
        if self.refusal is not None:
            return fail(self.refusal)
        waiting: Deferred = Deferred(self._cancelled)
        self.changes.append((waiting, change))
        return waiting

    def _cancelled(self, _waiting: Deferred) -> None:
        self.cancelled += 1

    def status(self) -> MemberStatus:
        return MemberStatus(
            raft=self.raft,
            leader=self.leader,
            is_leader=self.is_leader,
            ready_to_serve=self.ready,
            connected=frozenset(),
            pending_proposals=0,
            out_of_space=self.out_of_space,
            leader_since=0.0,
        )

    def turn(self, *, now_ns: int = NOW_NS) -> None:
        """Apply what waits, answer it, then tell the watchers."""
        proposals, self.proposals = self.proposals, []
        reads, self.reads = self.reads, []
        answers = []
        for waiting, machine, body in proposals:
            self.commit_index += 1
            value = self.machines[machine].apply(
                index=self.commit_index, time_ns=now_ns, body=body
            )
            self.v2.internal_writes(self.machines["auth"].take_writes())
            answers.append((waiting, Applied(self.commit_index, 2, value)))
        changes, self.changes = self.changes, []
        for waiting, change in changes:
            self.commit_index += 1
            changed = self.cluster.change(change)
            answers.append((waiting, Applied(self.commit_index, 2, changed)))
        self.applied_index = self.commit_index
        for waiting, applied in answers:
            if not waiting.called:
                waiting.callback(applied)
        for waiting in reads:
            if not waiting.called:
                waiting.callback(self.applied_index)
        self.v2.publish()

    def fail(self, error: KvdError) -> None:
        """Everything that waits fails so."""
        proposals, self.proposals = self.proposals, []
        reads, self.reads = self.reads, []
        changes, self.changes = self.changes, []
        asked = [each for each, *_ in [*proposals, *changes]]
        for waiting in asked + reads:
            if not waiting.called:
                waiting.errback(Failure(error))


class FakeThreads:
    """Calls wait until they are told to run, in the order in which they came."""

    def __init__(self) -> None:
        self.calls: list[tuple[Callable[[], object], Deferred]] = []
        self.ran = 0

    def run(self, call: Callable[[], object]) -> Deferred:
        done: Deferred = Deferred()
        self.calls.append((call, done))
        return done

    def turn(self) -> None:
        calls, self.calls = self.calls, []
        for call, done in calls:
            self.ran += 1
            done.callback(call())


class FakeCluster:
    def __init__(self) -> None:
        self.version = "3.4.0"
        self.records = (
            MemberRecord(0x1F, "b", ("http://p2",), ("http://c2", "http://c3")),
            MemberRecord(MEMBER_ID, "a", ("http://p1",), ("http://c1",)),
        )

    def members(self) -> tuple[MemberRecord, ...]:
        return self.records

    def member(self, member_id: int) -> MemberRecord | None:
        found = [each for each in self.records if each.member_id == member_id]
        return found[0] if found else None


class FakeStats:
    started_ns = NOW_NS

    def __init__(self) -> None:
        self.traffic = RaftTraffic()


class FakeDiagnosis:
    """Says what it is told to, and remembers what it was asked for."""

    command_line = ("kvd", "--name", "<a>")

    def __init__(self) -> None:
        self.problem = ""
        self.levels: list[str] = []
        self.owns_log = True

    def metrics(self) -> bytes:
        return b"# TYPE a gauge\na 1.0\n"

    def disk_problem(self) -> str:
        return self.problem

    def log_from(self, level: str) -> bool:
        self.levels.append(level)
        return self.owns_log

    def descriptors_max(self) -> int:
        return 1024

    def memory(self) -> dict[str, int | bool]:
        return {"Sys": 5, "EnableGC": True}


class Wire:
    """A TCP transport whose client reads as much as ``room`` allows."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.writes = 0
        self.room: int | None = None  # bytes the client still takes; None: all
        self.producer = None
        self.reading = True
        self.end = "open"
        self.protocol = None
        directlyProvides(self, ITCPTransport)

    def write(self, data: bytes) -> None:
        assert self.end == "open", f"written after {self.end}"
        assert data
        self.writes += 1
        self.written += data
        if self.room is not None:
            self.room -= len(data)
            if self.room < 0 and self.producer is not None:
                self.producer.pauseProducing()

    def client_reads(self) -> None:
        self.room = None
        if self.producer is not None:
            self.producer.resumeProducing()

    def registerProducer(self, producer: object, streaming: bool) -> None:
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = True

    def loseConnection(self) -> None:
        assert self.end != "aborted"
        self.end = "closed"

    def loseWriteConnection(self) -> None:
        assert self.end == "open"
        self.end = "half"

    def abortConnection(self) -> None:
        self.end = "aborted"


@attrs.define
class Said:
    """One answer as a client reads it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def __getitem__(self, name: str) -> str | None:
        found = [value for have, value in self.headers if have == name]
        assert len(found) < 2, name
        return found[0] if found else None


class Client:
    """One connection to the port."""

    def __init__(self, port: Port, address: str = "") -> None:
        self.port = port
        self.wire = Wire()
        self.protocol = port.site.buildProtocol(IPv4Address("TCP", address, 1))
        self.wire.protocol = self.protocol
        self.protocol.makeConnection(self.wire)

    def send(self, data: bytes | str) -> Client:
        if isinstance(data, str):
            data = data.encode()
        self.protocol.dataReceived(data)
        return self

    def lose(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionResetError()))

    @property
    def said(self) -> bytes:
        """What was written since the last look."""
        said = bytes(self.wire.written)
        self.wire.written.clear()
        return said

    @property
    def end(self) -> str:
        return self.wire.end


class Port:
    """The site with its fakes; every option of Config may be given."""

    def __init__(self, *, is_open: bool = True, **options: object) -> None:
        self.clock = Clock()
        self.auth = Auth()
        self.v2 = V2(auth=self.auth)
        self.member = FakeMember(self.v2, self.auth)
        self.threads = FakeThreads()
        self.cluster = FakeCluster()
        self.stats = FakeStats()
        self.tokens = 0
        self.diagnosis = FakeDiagnosis()
        self.site = ClientSite(
            config=Config(**{"bcrypt_cost": 4, **options}),
            member=self.member,
            keys=self.v2,
            auth=self.auth,
            threads=self.threads,
            secret=b"secret of this process",
            cluster=self.cluster,
            stats=self.stats,
            diagnosis=self.diagnosis,
            clock=self.clock,
            wall_time_ns=self.wall_time_ns,
            randbelow=self.randbelow,
        )
        if is_open:
            self.site.open_for_business()

    def randbelow(self, limit: int) -> int:
        self.tokens += 1
        assert limit == 1 << 128
        return self.tokens

    def wall_time_ns(self) -> int:
        return NOW_NS + round(self.clock.seconds() * 10**9)

    def connect(self, address: str = "") -> Client:
        return Client(self, address)

    @staticmethod
    def read(data: bytes, methods: list[str] | None = None) -> list[Said]:
        return read_answers(data, methods)

    def settle(self) -> None:
        """Apply and read until nothing waits."""
        member = self.member
        threads = self.threads
        while member.proposals or member.reads or member.changes or threads.calls:
            threads.turn()
            member.turn(now_ns=self.wall_time_ns())
            self.clock.advance(0)

    def ask(self, data: bytes | str) -> tuple[bytes, str]:
        """All bytes that one connection says to these, and how it stands then."""
        client = self.connect().send(data)
        self.settle()
        return client.said, client.end

    def request(
        self,
        method: str,
        target: str,
        form: str | bytes | None = None,
        headers: str = "",
    ) -> Said:
        """A usual request on its own connection."""
        body = form.encode() if isinstance(form, str) else form or b""
        if form is not None:
            headers += "Content-Type: application/x-www-form-urlencoded\r\n"
            headers += f"Content-Length: {len(body)}\r\n"
        head = f"{method} {target} HTTP/1.1\r\nHost: kvd\r\n{headers}\r\n"
        said, _ = self.ask(head.encode("utf-8", "surrogateescape") + body)
        (answer,) = read_answers(said, [method])
        return answer


def read_answers(data: bytes, methods: list[str] | None = None) -> list[Said]:
    """
    Slow and strict.

    :param methods: of the requests, where one of them is HEAD.
    """
    answers = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        line, *fields = head.decode("utf-8", "surrogateescape").split("\r\n")
        version, status, reason = line.split(" ", 2)
        assert version in {"HTTP/1.1", "HTTP/1.0"}
        assert reason
        headers = [tuple(field.split(": ", 1)) for field in fields]
        answer = Said(int(status), headers, b"")
        method = methods[len(answers)] if methods else "GET"
        if answer.status == 100 or method == "HEAD":
            pass
        elif answer["Transfer-Encoding"] == "chunked":
            while True:
                size, _, data = data.partition(b"\r\n")
                if not size:  # still open
                    break
                piece, data = data[: int(size, 16)], data[int(size, 16) :]
                assert data[:2] == b"\r\n"
                data = data[2:]
                if not piece:
                    break
                answer.body += piece
        elif answer["Content-Length"] is not None:
            length = int(answer["Content-Length"])
            answer.body, data = data[:length], data[length:]
            assert len(answer.body) == length
        else:
            answer.body, data = data, b""
        answers.append(answer)
    return answers


@pytest.fixture
def port() -> Port:
    return Port()


@pytest.fixture
def make_port() -> Callable[..., Port]:
    return Port


@pytest.fixture
def read() -> Callable[..., list[Said]]:
    return read_answers
