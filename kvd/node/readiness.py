"""When a member begins to answer clients."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed

from kvd.cluster.machine import ClusterMachine


class Readiness:
    """
    There is a leader, our own record is published, the cluster's version is decided.

    Before that the etcd index still moves by itself, and a client that counts on it
    would see the difference.
    """

    def __init__(self, cluster: ClusterMachine) -> None:
        self._cluster = cluster
        self._is_published = False
        self._waiters: list[Deferred[None]] = []
        self.reached = False

    def wait(self) -> Deferred[None]:
        """Fires when it is so, at once if it is already."""
        if self.reached:
            return succeed(None)
        ready: Deferred[None] = Deferred()
        self._waiters.append(ready)
        return ready

    def published(self) -> None:
        """Our own record has been applied."""
        self._is_published = True
        self.look()

    def look(self) -> None:
        """Once a tick."""
        if self._is_published and self._cluster.version and not self.reached:
            self.reached = True
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                waiter.callback(None)
