"""A proxy's client port before members that a test speaks for."""

from __future__ import annotations

import attrs
import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from kvd.config import Config
from kvd.proxy.counts import Counts
from kvd.proxy.endpoints import Endpoints
from kvd.proxy.forwarding import Forwarding
from kvd.proxy.port import ProxyPort
from kvd.proxy.upstream import Answered, Question, Taker
from tests.http.conftest import Client, Said, read_answers

NOW_NS = 1_700_000_000 * 10**9
ONE, TWO, THREE = (f"http://10.0.0.{number}:2379" for number in (1, 2, 3))


class FakeSource:
    """The body of an answer; the test says its pieces."""

    def __init__(self) -> None:
        self.taker: Taker | None = None
        self.said: list[str] = []
        self.early: list[bytes | None] = []  # before deliver returns; None: its end

    def deliver(self, taker: Taker) -> FakeSource:
        self.taker = taker
        for piece in self.early:
            if piece is None:
                taker.ended()
            else:
                taker.piece(piece)
        return self

    def pause(self) -> None:
        self.said.append("pause")

    def resume(self) -> None:
        self.said.append("resume")

    def drop(self) -> None:
        self.said.append("drop")


@attrs.define
class Asked:
    """A question on its way to a member."""

    url: str
    question: Question
    deferred: Deferred
    source: FakeSource = attrs.Factory(FakeSource)
    cancelled: bool = False

    def answer(
        self,
        status: int = 200,
        body: bytes | None = None,
        fields: tuple = (),
        length: int | None = None,
    ) -> FakeSource:
        """A head and, if one is given, a whole body."""
        if body is not None:
            self.source.early = [body, None]
        self.deferred.callback(
            Answered(
                status=status,
                phrase=b"OK",
                fields=fields,
                length=length,
                deliver=self.source.deliver,
            )
        )
        return self.source

    def fail(self, error: Exception) -> None:
        self.deferred.errback(error)


class FakeUpstream:
    """Provides ``Upstream``."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    def ask(self, url: str, question: Question) -> Deferred[Answered]:
        asked = Asked(url, question, Deferred(lambda _: self._cancel(asked)))
        self.asked.append(asked)
        return asked.deferred

    def _cancel(self, asked: Asked) -> None:
        asked.cancelled = True

    def close(self) -> Deferred[None]:
        return succeed(None)

    @property
    def last(self) -> Asked:
        return self.asked[-1]


class ProxyHouse:
    """The port, its endpoints, and the members as they are asked."""

    def __init__(self, *urls: str, **options: object) -> None:
        config = Config(**{"proxy": "on", **options})
        self.clock = Clock()
        self.upstream = FakeUpstream()
        self.counts = Counts()
        self.endpoints = Endpoints(
            clock=self.clock, shuffle=lambda urls: None, failure_wait_seconds=5.0
        )
        self.endpoints.replace(urls)
        self.site = ProxyPort(
            config=config,
            endpoints=self.endpoints,
            forwarding=Forwarding(
                endpoints=self.endpoints,
                upstream=self.upstream,
                bodies_bytes_max=config.outbox_bytes_max,
                counts=self.counts,
                clock=self.clock,
            ),
            metrics=lambda: b"# the page\n",
            clock=self.clock,
            wall_time_ns=lambda: NOW_NS,
        )
        self.site.open_for_business()

    def connect(self) -> Client:
        return Client(self)

    def send(self, head: str, body: bytes = b"") -> Client:
        """A request of HTTP/1.1 on a connection of its own."""
        lines = head if head.endswith("\r\n") else f"{head}\r\n"
        if body:
            lines += f"Content-Length: {len(body)}\r\n"
        first, _, rest = lines.partition("\r\n")
        data = f"{first} HTTP/1.1\r\nHost: kvd\r\n{rest}\r\n".encode()
        return self.connect().send(data + body)

    def ask(self, head: str, body: bytes = b"") -> Said:
        """The answer to a request that the proxy answers at once."""
        client = self.send(head, body)
        (answer,) = read_answers(client.said, [head.split(maxsplit=1)[0]])
        return answer


@pytest.fixture
def make_house():
    return ProxyHouse


@pytest.fixture
def house() -> ProxyHouse:
    return ProxyHouse(ONE, TWO, THREE)


@pytest.fixture
def read():
    return read_answers
