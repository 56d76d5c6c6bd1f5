"""Waiting for something that belongs to somebody else."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred


def settled(waited: Deferred[Any]) -> Deferred[None]:  # Any: whatever it fires with
    """Fires when the other one has, and leaves its result to its owner."""
    done: Deferred[None] = Deferred()

    def pass_on(result: object) -> object:
        done.callback(None)
        return result

    waited.addBoth(pass_on)
    return done
