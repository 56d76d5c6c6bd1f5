"""The fixtures and the mix-in that other people's tests begin with."""

from __future__ import annotations

import unittest

import pytest

from kvd.testing import InMemoryMember, KvdTestMixin, LeftoverWarning

pytest_plugins = ["kvd.testing.fixtures"]


def test_a_member_in_memory_is_a_fixture(kvd_member):
    assert isinstance(kvd_member, InMemoryMember)
    assert kvd_member.is_serving


@pytest.mark.parametrize("kvd_cluster", [1, 5], indirect=True)
def test_a_cluster_has_as_many_members_as_are_asked_for(kvd_cluster):
    assert len(kvd_cluster.members) in {1, 5}
    assert kvd_cluster.leader is not None


def test_a_cluster_has_three_members_otherwise(kvd_cluster):
    assert len(kvd_cluster.members) == 3


class Case(KvdTestMixin, unittest.TestCase):
    """Run by the tests below, and by nobody else."""

    __test__ = False

    def runTest(self):
        self.member = self.kvd_member(seed=1)
        self.cluster = self.kvd_cluster(5)
        self.server = self.kvd_server({"snapshot-count": 1000})
        assert self.server.is_running
        self.member.reactor.callLater(5, print)


def test_a_case_closes_what_it_has_made():
    case = Case()
    with pytest.warns(LeftoverWarning, match="timers"):
        result = case.run()

    assert result.wasSuccessful()
    assert not case.server.is_running
    for closed in (case.member, case.cluster):
        with pytest.raises(RuntimeError, match="closed"):
            closed.settle()
