"""Members in a simulation log failures on purpose: disks fail, members stop."""

import pytest


@pytest.fixture(autouse=True)
def logged_failures():
    """The judge of a simulation decides what is a failure, not the log."""
    return []
