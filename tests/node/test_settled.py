"""Waiting without taking the result."""

from twisted.internet.defer import fail, succeed

from kvd.errors import StorageError
from kvd.node.settled import settled


def test_settled_leaves_the_result_to_its_owner():
    for made in (succeed(1), fail(StorageError("x"))):
        fired = []
        settled(made).addCallback(fired.append)
        assert fired == [None]
        made.addErrback(lambda failure: failure.trap(StorageError))
