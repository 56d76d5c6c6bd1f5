"""Everything that a member's core knows; the other modules of the room work on it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from kvd.errors import invariant
from kvd.raft import invariants
from kvd.raft.log import Log
from kvd.raft.messages import (
    NOBODY,
    Configuration,
    Entry,
    HardState,
    Message,
    Notice,
    Persist,
    RaftConfig,
    Read,
    Role,
    SnapshotMeta,
)
from kvd.raft.progress import Progress


class PendingReads:
    """
    Reads that wait for a confirmation (thesis 6.4).

    :ivar waiting: (asker, context) without a round yet: the leader has not committed
        in its term, or a round is on its way and they share the next one.
    :ivar rounds: (round, read index, who asked), oldest first; a round was started
        after everything in it had arrived.
    :ivar forwarded: at a follower: number on the wire -> the asker's context; ``older``
        the ones from before the last turn of the clock hand.
    :ivar next_number: starts at random, so that an answer to an earlier life of this
        member answers nothing now.
    """

    __slots__ = ("forwarded", "next_number", "older", "rounds", "ticks", "waiting")

    def __init__(self, next_number: int) -> None:
        self.waiting: list[tuple[int, int]] = []
        self.rounds: deque[tuple[int, int, list[tuple[int, int]]]] = deque()
        self.forwarded: dict[int, int] = {}
        self.older: dict[int, int] = {}
        self.next_number = next_number
        self.ticks = 0

    def __len__(self) -> int:
        asked = sum(len(found[2]) for found in self.rounds)
        return len(self.waiting) + asked + len(self.forwarded) + len(self.older)


class State:
    """
    One member's; changed by the modules of this room and nobody else.

    :ivar leaving_at: a leader's: index of the change that takes its own vote away, or 0.
    :ivar handed_out: committed entries up to here were given to the driver.
    :ivar undecided: membership changes among them that were neither applied nor skipped.
    :ivar snapshot: the newest durable one.
    :ivar incoming: accepted from a leader, not yet given to the disk.
    :ivar restore: durable, not yet given to the driver; ``restoring``: given, not yet
        reported as done.
    :ivar after: messages that wait until everything up to now is durable.
    :ivar send_wanted: a leader may have something to send.
    :ivar persisting: the Persist that has not been reported yet.
    :ivar handed_state: the hard state that was last given to the disk;
        ``durable_state``: that is known to be there.
    """

    def __init__(
        self,
        config: RaftConfig,
        *,
        hard_state: HardState,
        snapshot: SnapshotMeta | None,
        entries: Sequence[Entry],
        randbelow: Callable[[int], int],
    ) -> None:
        self.config = config
        self.me = config.member_id
        self.randbelow = randbelow

        self.term = hard_state.term
        self.vote = hard_state.vote
        self.handed_state = self.durable_state = hard_state
        self.snapshot = snapshot
        at = snapshot.index if snapshot is not None else 0
        self.log = Log(at, snapshot.term if snapshot is not None else 0)
        self.log.saved(entries)
        self.commit = max(hard_state.commit, at)
        self._commit_what_the_changes_prove()
        invariant(
            self.commit <= self.log.last,
            f"index {self.commit} is committed but the log ends at {self.log.last}",
        )
        invariant(
            self.log.last_term <= self.term,
            f"entries of term {self.log.last_term} in term {self.term}",
        )

        self.configuration = (
            snapshot.configuration if snapshot is not None else Configuration()
        )
        self.role = Role.FOLLOWER
        self.leader = NOBODY
        self.votes: dict[int, bool] = {}
        self.election_elapsed = 0
        self.heartbeat_elapsed = 0
        self.election_timeout = 0
        self.draw_timeout()

        self.progress: dict[int, Progress] = {}
        self.round = 0
        self.transferring_to = NOBODY
        self.transfer_elapsed = 0
        self.leaving_at = 0
        self.reads = PendingReads(randbelow(1 << 62))

        self.applied = at
        self.handed_out = at
        self.undecided = 0
        self.incoming: SnapshotMeta | None = None
        self.restore: SnapshotMeta | None = None
        self.restoring: SnapshotMeta | None = None

        self.messages: list[Message] = []
        self.after: list[Message] = []
        self.confirmed: list[Read] = []
        self.dropped: list[int] = []
        self.notices: list[Notice] = []
        self.send_wanted = False
        self.persisting: Persist | None = None

    def _commit_what_the_changes_prove(self) -> None:
        """
        A change in the log proves that the one before it is committed.

        Its leader had applied that one first. A torn write can separate an entry from
        the commit index that came with it, and a member that did not know this would
        campaign in a configuration two steps old.
        """
        changes = self.log.changes
        if len(changes) >= 2:
            self.commit = max(self.commit, changes[-2])

    def draw_timeout(self) -> None:
        """A new random election timeout, from [n, 2n) (raft paper 5.2)."""
        ticks = self.config.election_ticks
        self.election_timeout = ticks + self.randbelow(ticks)

    def notice(self, kind: str, **fields: object) -> None:
        """Something for the driver to log."""
        self.notices.append(Notice(kind, tuple(fields.items())))

    def commit_to(self, index: int) -> None:
        """Everything up to ``index`` is committed."""
        invariants.commit_may_advance(self, index)
        self.commit = index

    @property
    def settled_commit(self) -> int:
        """
        The commit index as far as it may have consequences: not beyond a change of
        which our own disk does not know yet that it is committed.

        A change is neither applied nor told to be committed before that. Who is removed
        by it may be gone for good as soon as anybody knows, and those who stay may be
        too few to find out again.
        """
        changes = self.log.changes
        durable = self.durable_state.commit
        if not changes or changes[-1] <= durable:
            return self.commit
        first = next(index for index in changes if index > durable)
        return min(self.commit, first - 1)

    @property
    def is_voter(self) -> bool:
        return self.me in self.configuration.voters

    @property
    def alone(self) -> bool:
        """The only voter."""
        return self.is_voter and len(self.configuration.voters) == 1

    def is_member(self, member_id: int) -> bool:
        """In the configuration that is in force here; it may lag."""
        configuration = self.configuration
        return member_id in configuration.voters or member_id in configuration.learners

    @property
    def has_unapplied_change(self) -> bool:
        """
        A membership change is on its way.

        It is read off the log, so that a new leader knows what its predecessors
        proposed.
        """
        changes = self.log.changes
        return bool(changes) and changes[-1] > self.applied

    @property
    def has_committed_in_term(self) -> bool:
        return self.log.term(self.commit) == self.term

    def may_be_led_by(self, member_id: int) -> bool:
        """
        Whether somebody of whom our configuration says nothing could be our leader.

        He is whom we follow, or we hear nobody and have applied all that we know to be
        committed: there may be more that we do not know. The only voter leads itself.
        """
        if self.leader != NOBODY:
            return self.leader == member_id
        return self.applied == self.commit and not self.alone

    @property
    def may_campaign(self) -> bool:
        """
        A voter whose configuration is not known to be out of date.

        Changes take effect when applied: with a committed one unapplied, two
        majorities of different configurations could elect two leaders.
        """
        return (
            self.is_voter
            and self.incoming is None
            and self.restore is None
            and self.restoring is None
            and not self._installing
            and not self.log.has_change_between(self.applied, self.commit)
        )

    @property
    def _installing(self) -> bool:
        return self.persisting is not None and self.persisting.snapshot is not None

    @property
    def is_installing(self) -> bool:
        """A snapshot is on its way into the machines, and is no longer to be replaced."""
        return (
            self._installing or self.restore is not None or self.restoring is not None
        )
