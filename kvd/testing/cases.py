"""Members for test cases of trial and of unittest, closed when the test is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kvd.testing.memory.cluster import InMemoryCluster, InMemoryMember
from kvd.testing.process import MemberProcess


class KvdTestMixin:
    """
    Makes members in a test or in its ``setUp``, and closes them after it.

    ::

        class SessionTests(KvdTestMixin, SynchronousTestCase):
            def test_a_session_ends(self):
                member = self.kvd_member()
                ...

    With trial it belongs before ``SynchronousTestCase``: virtual time passes when the test
    lets it pass, and not while a Deferred that was returned is waited for.

    .. versionadded:: 0.1
    """

    # A TestCase has it; Any: whatever a cleanup returns.
    addCleanup: Callable[..., object]

    def kvd_member(self, *, seed: int = 0) -> InMemoryMember:
        """One in memory; see :class:`InMemoryMember`."""
        member = InMemoryMember(seed=seed)
        self.addCleanup(member.close)
        return member

    def kvd_cluster(self, members: int = 3, *, seed: int = 0) -> InMemoryCluster:
        """Several in memory; see :class:`InMemoryCluster`."""
        cluster = InMemoryCluster(members, seed=seed)
        self.addCleanup(cluster.close)
        return cluster

    def kvd_server(self, options: Mapping[str, object] | None = None) -> MemberProcess:
        """One on a real port, serving; see :class:`MemberProcess`."""
        server = MemberProcess(options)
        self.addCleanup(server.close)
        return server.start()
