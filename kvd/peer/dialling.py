"""Dialling a URL: an outcome within a time, or a PeerError that says what was wrong."""

# Twisted leaves Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeVar, cast

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.interfaces import (
    IProtocol,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from kvd.errors import PeerError
from kvd.peer.protocol import BoxConnection

Connect: TypeAlias = Callable[[str], IStreamClientEndpoint]
"""An endpoint for a peer URL; ValueError if it makes none."""

_Connection = TypeVar("_Connection", bound=BoxConnection)
_Outcome = TypeVar("_Outcome")


def dialled(
    connect: Connect,
    url: str,
    *,
    made: Callable[[], _Connection],
    outcome: Callable[[_Connection], Deferred[_Outcome]],
    clock: IReactorTime,
    seconds: float,
) -> Deferred[_Outcome]:
    """
    Fires with the connection's outcome, which cancelling it must end.

    Fails with :class:`PeerError` when there is none in time, or with CancelledError
    when cancelled.
    """
    cancelled = False

    def connected(protocol: IProtocol) -> Deferred[_Outcome]:
        return outcome(cast(_Connection, protocol))

    def failed(failure: Failure) -> Failure:
        problem = failure.value
        if cancelled:  # an endpoint has an error of its own for it
            return Failure(CancelledError())
        if isinstance(problem, PeerError):
            return failure
        if isinstance(problem, DeferredTimeout | ConnectingCancelledError):
            return Failure(PeerError(f"no answer within {seconds:g} seconds"))
        return Failure(PeerError(_reason(failure)))

    def cancel(_: object) -> None:
        nonlocal cancelled
        cancelled = True
        attempt.cancel()

    try:
        endpoint = connect(url)
    except ValueError as problem:
        return fail(PeerError(f"{url}: {problem}"))
    factory = Factory.forProtocol(made)
    factory.noisy = False
    attempt = endpoint.connect(factory).addCallback(connected)
    attempt.addTimeout(seconds, clock)
    attempt.addErrback(failed)
    result: Deferred[_Outcome] = Deferred(cancel)
    attempt.addBoth(result.callback)
    return result


def _reason(failure: Failure) -> str:
    if isinstance(failure.value, ConnectError):
        return str(failure.getErrorMessage())
    return f"{type(failure.value).__name__}: {failure.getErrorMessage()}"
