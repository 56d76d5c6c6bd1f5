"""Handing leadership to another member (thesis 3.10)."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from kvd.node.driver import Driver
from kvd.raft.status import RaftStatus


def successor_of(status: RaftStatus) -> int:
    """The voter best fit to lead after us, 0 if nobody is in touch."""
    fit = [
        (progress.match, progress.member_id)
        for progress in status.progress
        if progress.recently_active
        and progress.member_id in status.configuration.voters
        and progress.member_id != status.member_id
    ]
    return max(fit)[1] if fit else 0


class Handover:
    """
    One attempt; :attr:`done` fires with whether somebody else leads in time.

    :param ended: called once, when it is decided.
    """

    def __init__(
        self,
        *,
        member_id: int,
        clock: IReactorTime,
        seconds: float,
        ended: Callable[[Handover], None],
    ) -> None:
        self.done: Deferred[bool] = Deferred()
        self._member_id = member_id
        self._ended = ended
        self._late = clock.callLater(seconds, self.settle, False)

    @classmethod
    def begun(
        cls,
        target: int,
        *,
        driver: Driver,
        clock: IReactorTime,
        seconds: float,
        callbacks: list[Callable[[int], None]],
    ) -> Deferred[bool]:
        """
        Ask the core for it, and wait.

        :param callbacks: each is called with each new leader.
        """
        raft = driver.raft
        handover = cls(
            member_id=raft.member_id,
            clock=clock,
            seconds=seconds,
            ended=lambda ended: callbacks.remove(ended.leader_changed),
        )
        callbacks.append(handover.leader_changed)

        def begin() -> None:
            if not raft.transfer(target):
                handover.settle(False)

        driver.guarded(begin)
        driver.wake()
        return handover.done

    def leader_changed(self, leader: int) -> None:
        if leader not in {0, self._member_id}:
            self.settle(True)

    def settle(self, succeeded: bool) -> None:
        """It is decided."""
        if self._late.active():
            self._late.cancel()
        self._ended(self)
        self.done.callback(succeeded)
