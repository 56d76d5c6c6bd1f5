"""Before a member without data begins: has it run before, and lost what it knew?"""

# Twisted leaves Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import attrs
from twisted.internet.defer import (
    CancelledError,
    Deferred,
    FirstError,
    gatherResults,
)
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.task import deferLater

from kvd.errors import PeerError
from kvd.peer.commands import Purpose, Refusal
from kvd.peer.sending import Dialler, Refused
from kvd.peer.settings import PeerIdentity, PeerSettings

ASK_SECONDS: Final = 10.0
"""For a founder that is there to say what it knows; it may be reading its disk."""

AGAIN_SECONDS: Final = 0.25


class Founding:
    """
    Asks the other founders whether they know this member from before.

    A member that comes back with an empty disk has forgotten whom it voted for and
    what it acknowledged. Were it to take part again under the same id, an acknowledged
    write could be lost. Who is not there, or has no data either, says nothing, since
    somebody must be the first to begin.

    :param founders: the peer URLs of all founding members, by id.
    """

    def __init__(
        self,
        *,
        connect: Callable[[str], IStreamClientEndpoint],
        clock: IReactorTime,
        identity: PeerIdentity,
        founders: Mapping[int, tuple[str, ...]],
    ) -> None:
        self._clock = clock
        self._founders = {
            member_id: urls
            for member_id, urls in founders.items()
            if member_id != identity.member_id
        }
        self._dialler = Dialler(
            connect=connect,
            clock=clock,
            settings=attrs.evolve(PeerSettings(), connect_seconds=ASK_SECONDS),
            identity=identity,
        )
        self._late = False

    async def ask(self) -> None:
        """
        Returns when this member may begin.

        :raises Refused: it ran before, or was removed; the message says which.
        """
        questions = [
            Deferred.fromCoroutine(self._ask_one(member_id, urls))
            for member_id, urls in self._founders.items()
        ]

        def end() -> None:
            self._late = True
            for each in questions:
                each.cancel()

        deadline = self._clock.callLater(ASK_SECONDS, end)
        try:
            await gatherResults(questions, consumeErrors=True)
        except FirstError as first:
            first.subFailure.raiseException()
        finally:
            if deadline.active():
                deadline.cancel()
                end()

    async def _ask_one(self, member_id: int, urls: tuple[str, ...]) -> None:
        try:
            while await self._unsure(member_id, urls):
                await deferLater(self._clock, AGAIN_SECONDS)
        except CancelledError:
            if not self._late:
                raise

    async def _unsure(self, member_id: int, urls: tuple[str, ...]) -> bool:
        """Whether somebody is there who may know more in a moment."""
        for url in urls:
            try:
                connection = await self._dialler.dial(
                    url, expected=member_id, purpose=Purpose.FOUNDING
                )
            except Refused as refused:
                if refused.refusal in {Refusal.BOOTSTRAPPED, Refusal.REMOVED}:
                    raise Refused(
                        f"{refused}, but nothing of it is here; restore its data",
                        refused.refusal,
                    ) from None
                if refused.refusal is Refusal.STRANGER:
                    return True
            except PeerError:
                continue
            else:
                connection.drop("it has answered")
                return False
        return False
