from __future__ import annotations

from collections.abc import Iterator

import pytest

from kvd.testing import InMemoryCluster, InMemoryMember


@pytest.fixture
def member() -> Iterator[InMemoryMember]:
    with InMemoryMember() as member:
        yield member


@pytest.fixture
def cluster() -> Iterator[InMemoryCluster]:
    with InMemoryCluster() as cluster:
        yield cluster
