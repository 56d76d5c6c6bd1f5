"""New members begin as learners; the leader makes voters of them when they are ready."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kvd.cluster.machine import ClusterMachine
from kvd.errors import ReconfigurationRefused, Unavailable
from kvd.node.interfaces import Applied
from kvd.raft.core import Raft
from kvd.raft.messages import NOBODY, ChangeKind, ConfigChange


class Promotion:
    """
    One at a time; what comes to nothing is tried again after a while.

    A voter that lacks half of the log is one that a majority may have to wait for. So
    it listens first, and nobody needs it until it has caught up.

    Nor until its client URLs are known: they say that it has run, and keep it from
    coming back with an empty disk under the same id, with its votes forgotten.

    :param pause_seconds: after a refusal, which as a rule is about another change.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        raft: Raft,
        cluster: ClusterMachine,
        reconfigure: Callable[[ConfigChange], Deferred[Applied]],
        clock: IReactorTime,
        pause_seconds: float,
    ) -> None:
        self._raft = raft
        self._cluster = cluster
        self._reconfigure = reconfigure
        self._clock = clock
        self._pause_seconds = pause_seconds
        self._under_way = False
        self._not_before = 0.0

    def look(self) -> None:
        """Once a tick, on every member; only a leader finds anybody."""
        if self._under_way or self._clock.seconds() < self._not_before:
            return
        published = frozenset(
            record.member_id
            for record in self._cluster.members()
            if record.learner and record.client_urls
        )
        learner = self._raft.promotable(published)
        if learner == NOBODY:
            return
        self._log.info(
            "learner {learner:x} has caught up and is to vote", learner=learner
        )
        self._under_way = True
        change = ConfigChange(ChangeKind.ADD_VOTER, learner)
        self._reconfigure(change).addCallbacks(self._done, self._refused)

    def _done(self, _: Applied) -> None:
        self._under_way = False

    def _refused(self, failure: Failure) -> None:
        failure.trap(ReconfigurationRefused, Unavailable)  # type: ignore[no-untyped-call]  # Twisted's
        self._under_way = False
        self._not_before = self._clock.seconds() + self._pause_seconds
