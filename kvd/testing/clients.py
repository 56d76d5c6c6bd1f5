"""Clients of a simulated cluster; they remember what they asked and were told."""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from kvd.errors import RequestError, Unavailable
from kvd.node.interfaces import Applied
from kvd.testing.clock import Timer
from kvd.testing.linearizability import Operation, Outcome
from kvd.testing.member import Run
from kvd.testing.watching import HOP_SECONDS, Glance, glance
from kvd.v2.commands import Command, Op, encode_command
from kvd.v2.events import Event

if TYPE_CHECKING:
    from kvd.testing.cluster import SimulatedCluster

KEYS = ("/a", "/b", "/c")
QUEUE = "/queue"
TTL_FOLDER = "/ttl"
TREES = ("/x", "/x/y")

_OPS = {
    "set": Op.SET,
    "create": Op.CREATE,
    "post": Op.CREATE_IN_ORDER,
    "update": Op.UPDATE,
    "cas": Op.COMPARE_AND_SWAP,
    "delete": Op.DELETE,
    "cad": Op.COMPARE_AND_DELETE,
}
_WEIGHTS = {
    "get": 24,
    "set": 22,
    "cas": 14,
    "create": 8,
    "delete": 7,
    "cad": 6,
    "update": 5,
    "post": 4,
    "ttl": 5,
    "glance": 5,
    "tree": 6,
}
_NAMES = tuple(_WEIGHTS)
_CUMULATED = tuple(
    sum(list(_WEIGHTS.values())[: place + 1]) for place in range(len(_WEIGHTS))
)


@attrs.define(eq=False)
class _Asked:
    """A request on its way."""

    operation: Operation
    run: Run
    timer: Timer | None = None
    over: bool = False


class Histories:
    """
    What all clients saw.

    :ivar never: values of writes that were refused with "it cannot take effect".
    :ivar ttl_keys: key and expiration of each key with a TTL that was asked for.
    """

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.never: set[str] = set()
        self.ttl_keys: dict[str, int] = {}
        self.glances: list[Glance] = []
        self.answers: list[tuple[str, int, int]] = []  # who, since, index


def outcome_of(value: object) -> Outcome:
    """What a state machine said, as a client sees it."""
    if isinstance(value, RequestError):
        return Outcome(value.code, value.index)
    if not isinstance(value, Event):
        raise TypeError(f"not the answer to a client: {value!r}")
    node, prev = value.node, value.prev
    return Outcome(
        0,
        value.etcd_index,
        node.modified_index,
        node.value,
        prev.modified_index if prev is not None else 0,
        prev.value if prev is not None else None,
    )


class Client:
    """
    Asks random members for random things, one at a time, until told to stop.

    :param think_seconds: between an answer and the next request, on average.
    """

    def __init__(
        self,
        number: int,
        cluster: SimulatedCluster,
        random: Random,
        *,
        think_seconds: float,
    ) -> None:
        self.number = number
        self._cluster = cluster
        self._random = random
        self._think_seconds = think_seconds
        self._count = 0
        self._asked: _Asked | None = None
        self._seen: dict[str, tuple[str, int]] = {}
        self.stopped = False

    @property
    def busy(self) -> bool:
        return self._asked is not None

    def start(self) -> None:
        self._think()

    def stop(self) -> None:
        self.stopped = True

    def _think(self) -> None:
        seconds = self._random.expovariate(1 / self._think_seconds)
        self._cluster.timeline.after(seconds, self._next)

    def _next(self) -> None:
        if self.stopped:
            return
        runs = self._cluster.serving()
        if not runs:
            self._think()
            return
        run = self._random.choice(runs)
        name = self._random.choices(_NAMES, cum_weights=_CUMULATED)[0]
        if name == "glance":
            run.process.after(HOP_SECONDS, self._glance, run)
            self._think()
            return
        if name == "tree":
            run.process.after(HOP_SECONDS, self._grow, run)
            self._think()
            return
        self.ask(name, run)

    def _glance(self, run: Run) -> None:
        key = self._random.choice(KEYS)
        self._cluster.histories.glances.append(glance(run.v2, key))

    def _grow(self, run: Run) -> None:
        """
        Something with directories, of which no history is kept.

        What it does must be the same on all members; the model knows files only.
        """
        random = self._random
        self._count += 1
        path = random.choice(TREES)
        value = f"{self.number}.{self._count}"
        ttl = random.choice((None, None, 1, 3))
        expiration = None
        if ttl is not None:
            expiration = run.machine.clock.wall_time_ns() + ttl * 1_000_000_000
        command = random.choice(
            (
                Command(Op.SET, path, dir=True, expiration_ns=expiration),
                Command(Op.UPDATE, path, expiration_ns=expiration),
                Command(Op.SET, f"{path}/{random.randrange(3)}", value=value),
                Command(Op.CREATE_IN_ORDER, path, value=value),
                Command(Op.DELETE, path, dir=True, recursive=random.random() < 0.5),
            )
        )
        answer = run.node.propose("v2", encode_command(command))
        answer.addErrback(self._nobody_waits)

    def _nobody_waits(self, failure: Failure) -> None:
        if not isinstance(failure.value, Unavailable):
            self._cluster.failed_elsewhere(failure.value)

    # -- one request ----------------------------------------------------------

    def ask(self, name: str, run: Run, key: str = "") -> None:
        """Begin a request; one at a time."""
        self._count += 1
        value = f"{self.number}.{self._count}"
        expiration = None
        compare_value, compare_index = None, 0
        if name == "ttl":
            name, key = "set", f"{TTL_FOLDER}/{value}"
            ttl = self._random.randint(1, 3)
            expiration = run.machine.clock.wall_time_ns() + ttl * 1_000_000_000
            self._cluster.histories.ttl_keys[key] = expiration
        elif name == "post":
            key = QUEUE
        else:
            key = key or self._random.choice(KEYS)
        if name in {"cas", "cad"}:
            seen = self._seen.get(key, ("never", 1))
            if self._random.random() < 0.5:
                compare_value = seen[0]
            else:
                compare_index = seen[1]
        now = self._cluster.timeline.now
        operation = Operation(
            self.number,
            name,
            key,
            value,
            compare_value,
            compare_index,
            now,
            math.inf,
            None,
        )
        asked = self._asked = _Asked(operation, run)
        run.ended.append(lambda: self._unknown(asked))
        asked.timer = self._cluster.timeline.after(
            self._cluster.sizes.request_timeout_seconds + 2, self._unknown, asked
        )
        run.process.after(HOP_SECONDS, self._arrive, asked, expiration)

    def _arrive(self, asked: _Asked, expiration: int | None) -> None:
        operation, node = asked.operation, asked.run.node
        answer: Deferred[Outcome]
        if operation.name == "get":
            answer = node.read_index().addCallback(
                lambda _: self._read(asked.run, operation.key)
            )
        else:
            answer = node.propose("v2", command_of(operation, expiration)).addCallback(
                lambda applied: self._applied(asked, applied)
            )
        answer.addCallbacks(
            lambda outcome: self._done(asked, outcome),
            lambda failure: self._refused(asked, failure),
        )

    def _read(self, run: Run, key: str) -> Outcome:
        try:
            return outcome_of(run.v2.get(key, recursive=False, sorted=False))
        except RequestError as refusal:
            return Outcome(refusal.code, refusal.index)

    def _applied(self, asked: _Asked, applied: Applied) -> Outcome:
        self._cluster.invariants.acknowledged(applied.index, applied.term)
        value = applied.value
        if isinstance(value, Event) and asked.operation.name == "post":
            asked.operation = asked.operation._replace(
                name="create", key=value.node.key
            )
        return outcome_of(value)

    def _done(self, asked: _Asked, outcome: Outcome) -> None:
        if asked.over:
            return
        operation = asked.operation
        if not outcome.code:
            self._seen[operation.key] = (
                operation.value if operation.name != "get" else outcome.value or "",
                outcome.modified,
            )
        self._end(
            asked,
            operation._replace(outcome=outcome, returned=self._cluster.timeline.now),
        )

    def _refused(self, asked: _Asked, failure: Failure) -> None:
        error = failure.value
        if not isinstance(error, Unavailable):
            self._cluster.failed_elsewhere(error)
        elif error.may_take_effect:
            self._unknown(asked)
        elif not asked.over:
            if asked.operation.name not in {"get", "delete", "cad"}:
                self._cluster.histories.never.add(asked.operation.value)
            self._end(asked, None)

    def _unknown(self, asked: _Asked) -> None:
        if not asked.over:
            self._end(asked, asked.operation)

    def _end(self, asked: _Asked, operation: Operation | None) -> None:
        asked.over = True
        if asked.timer is not None and asked.timer.active():
            asked.timer.cancel()
        self._asked = None
        if operation is not None and operation.name != "post":
            self._cluster.histories.operations.append(operation)
        if not self.stopped:
            self._think()


def command_of(operation: Operation, expiration_ns: int | None) -> bytes:
    """As the HTTP face makes it out of a request."""
    return encode_command(
        Command(
            _OPS[operation.name],
            operation.key,
            value="" if operation.name in {"delete", "cad"} else operation.value,
            expiration_ns=expiration_ns,
            prev_value=operation.compare_value,
            prev_index=operation.compare_index,
        )
    )
