"""Clients of a cluster that is not there."""

import pytest

from tests.client.cluster import Cluster


@pytest.fixture
def cluster():
    return Cluster()
