"""
Fixtures for pytest; a ``conftest.py`` names them::

    pytest_plugins = ["kvd.testing.fixtures"]

.. versionadded:: 0.1
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kvd.testing.memory.cluster import InMemoryCluster, InMemoryMember
from kvd.testing.process import MemberProcess


@pytest.fixture
def kvd_member() -> Iterator[InMemoryMember]:
    """A member in memory, with virtual time."""
    with InMemoryMember() as member:
        yield member


@pytest.fixture
def kvd_cluster(request: pytest.FixtureRequest) -> Iterator[InMemoryCluster]:
    """
    Three members in memory, with virtual time.

    Another number is given indirectly: ``parametrize("kvd_cluster", [5], indirect=True)``.
    """
    with InMemoryCluster(getattr(request, "param", 3)) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def kvd_process() -> Iterator[MemberProcess]:
    """A member on a real port, one for all tests, with whatever they leave in it."""
    with MemberProcess() as member:
        yield member


@pytest.fixture
def kvd_server(kvd_process: MemberProcess) -> MemberProcess:
    """The same, running and empty when the test begins."""
    kvd_process.renew()
    return kvd_process
