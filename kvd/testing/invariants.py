"""What must hold after every step of a simulated cluster (raft paper, figure 3)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from kvd.raft.messages import (
    Configuration,
    Entry,
    HardState,
    Role,
    SnapshotMeta,
)

CONFIGURATIONS_KEPT = 4
"""A request may be answered while the configuration it committed under is replaced."""


class Violated(AssertionError):
    """A promise was broken; the text says which."""


class DurableLog:
    """
    What a member's disk was said to keep, from the saves that were reported done.

    :ivar terms: of the entries, by index; those in a snapshot of its own stay here.
    :ivar base: index of the leader's snapshot that the log begins with.
    """

    def __init__(self) -> None:
        self.terms: dict[int, int] = {}
        self.base = 0
        self.base_term = 0
        self.last = 0
        self.hard_state = HardState()
        self.pending: (
            tuple[HardState | None, Sequence[Entry], SnapshotMeta | None] | None
        ) = None

    def term(self, index: int) -> int:
        """Of the entry at an index, 0 where there is none."""
        if index == self.base:
            return self.base_term
        return self.terms.get(index, 0)

    def volatile_term(self, index: int) -> int:
        """The same, with the save under way."""
        if self.pending is not None:
            _, entries, snapshot = self.pending
            if entries and index >= entries[0].index:
                place = index - entries[0].index
                return entries[place].term if place < len(entries) else 0
            if snapshot is not None:
                return snapshot.term if index == snapshot.index else 0
        return self.term(index)

    def done(self) -> None:
        """The save under way was reported done."""
        if self.pending is None:
            raise Violated("a save was reported done twice")
        hard_state, entries, snapshot = self.pending
        self.pending = None
        if snapshot is not None:
            self.terms.clear()
            self.base, self.base_term = snapshot.index, snapshot.term
            self.last = snapshot.index
        if entries:
            for index in range(entries[-1].index + 1, self.last + 1):
                self.terms.pop(index, None)
            for entry in entries:
                self.terms[entry.index] = entry.term
            self.last = entries[-1].index
        if hard_state is not None:
            self.hard_state = hard_state

    def holds(self, index: int, term: int) -> bool:
        return index < self.base or self.term(index) == term

    def recovered(
        self,
        hard_state: HardState,
        snapshot: SnapshotMeta | None,
        entries: Sequence[Entry],
    ) -> None:
        """
        Check what a restart found against what was promised, and go on from there.

        A save that was under way may be there, wholly or up to anywhere, or not.
        """
        mine = self.hard_state
        if (hard_state.term, hard_state.commit) < (mine.term, 0) or (
            hard_state.term == mine.term and mine.vote and hard_state.vote != mine.vote
        ):
            raise Violated(f"restart forgot {mine}: it found {hard_state}")
        base = snapshot.index if snapshot is not None else 0
        found = {entry.index: entry.term for entry in entries}
        replaced = self._replaced_from()
        for index, term in self.terms.items():
            if index > base and index < replaced and found.get(index) != term:
                raise Violated(
                    f"restart forgot entry {index} of term {term}: "
                    f"it found {found.get(index)}"
                )
        if self.base > base:
            raise Violated(f"restart forgot the snapshot at {self.base}")
        if snapshot is not None and snapshot.term not in (
            self.term(base),
            self.volatile_term(base),
        ):
            raise Violated(f"restart took a snapshot that no save named: {snapshot}")
        for entry in entries:
            index, term = entry.index, entry.term
            if index > self.base and term not in (
                self.term(index),
                self.volatile_term(index),
            ):
                raise Violated(f"restart made up entry {index} of term {term}")
        if mine.commit > max([base, *found]):
            raise Violated(f"restart forgot entries up to the commit of {mine}")
        self._adopt(hard_state, snapshot, entries)

    def _replaced_from(self) -> int:
        """The first index that the save under way may have replaced."""
        if self.pending is None:
            return 1 << 62
        _, entries, snapshot = self.pending
        if snapshot is not None:
            return 0
        return entries[0].index if entries else 1 << 62

    def _adopt(
        self,
        hard_state: HardState,
        snapshot: SnapshotMeta | None,
        entries: Sequence[Entry],
    ) -> None:
        self.pending = None
        self.hard_state = hard_state
        if snapshot is not None:
            if self.term(snapshot.index) != snapshot.term:
                self.terms.clear()
                self.base, self.base_term = snapshot.index, snapshot.term
            self.last = snapshot.index
        else:
            self.last = 0
        for entry in entries:
            self.terms[entry.index] = entry.term
            self.last = entry.index
        for index in [index for index in self.terms if index > self.last]:
            del self.terms[index]


class _Seen:
    """What was last seen of one run of a member."""

    __slots__ = ("commit", "compacted", "leads", "term")

    def __init__(self) -> None:
        self.term = -1
        self.commit = 0
        self.compacted = 0
        self.leads = False


class Invariants:
    """
    One for a cluster; told of everything, raises :class:`Violated`.

    :ivar applied: term, data and outcome of each applied entry, by its index.
    """

    def __init__(self) -> None:
        self.logs: defaultdict[int, DurableLog] = defaultdict(DurableLog)
        self.applied: dict[int, tuple[int, bytes, str]] = {}
        self.leaders: dict[int, int] = {}
        self.configurations: list[tuple[int, Configuration]] = [(0, Configuration())]
        self._entries: dict[tuple[int, int], tuple[int, bytes]] = {}
        self._committed: dict[int, int] = {}
        self._commit_moments: list[tuple[int, int]] = [(0, 0)]  # index, leader's term
        self._seen: dict[int, _Seen] = {}

    # -- saves ----------------------------------------------------------------

    def saving(
        self,
        member_id: int,
        hard_state: HardState | None,
        entries: Sequence[Entry],
        snapshot: SnapshotMeta | None,
    ) -> None:
        log = self.logs[member_id]
        if log.pending is not None:
            raise Violated(f"{member_id} saves twice at one time")
        log.pending = (hard_state, entries, snapshot)
        if not entries:
            return
        # Log matching: index and term say what an entry is, and what is before it.
        previous = log.volatile_term(entries[0].index - 1)
        for entry in entries:
            mine = (previous, entry.data)
            if self._entries.setdefault((entry.index, entry.term), mine) != mine:
                raise Violated(
                    f"log matching: {member_id} has another entry {entry.index} "
                    f"of term {entry.term}"
                )
            previous = entry.term

    def saved(self, member_id: int) -> None:
        self.logs[member_id].done()

    # -- after each turn ------------------------------------------------------

    def started(self, member_id: int) -> None:
        self._seen[member_id] = _Seen()

    def turned(
        self,
        member_id: int,
        *,
        term: int,
        role: Role,
        commit: int,
        term_at: Callable[[int], int],
    ) -> None:
        """
        :param term_at: of an entry in the core's log; not positive where there is none,
            or only a snapshot.
        """
        seen = self._seen[member_id]
        if term != seen.term:
            if term < seen.term:
                raise Violated(f"{member_id} went back from term {seen.term} to {term}")
            seen.term = term
            seen.leads = False
        if commit != seen.commit:
            self._commits(member_id, seen.commit, commit, term, term_at)
            seen.commit = commit
        if role is Role.LEADER and not seen.leads:
            seen.leads = True
            self._leads(member_id, term, term_at)

    def _leads(self, member_id: int, term: int, term_at: Callable[[int], int]) -> None:
        other = self.leaders.setdefault(term, member_id)
        if other != member_id:
            raise Violated(
                f"election safety: {other} and {member_id} both lead term {term}"
            )
        for index, in_term in reversed(self._commit_moments):
            if in_term < term:
                must = self._committed.get(index, 0)
                mine = term_at(index)
                if mine != must and index > self._compacted(member_id, term_at):
                    raise Violated(
                        f"leader completeness: {member_id} leads term {term} without "
                        f"entry {index} of term {must}, committed in term {in_term}"
                    )
                break

    def _compacted(self, member_id: int, term_at: Callable[[int], int]) -> int:
        """The last index of which the core has no entry because a snapshot has it."""
        seen = self._seen[member_id]
        while seen.commit and term_at(seen.compacted + 1) <= 0:
            if seen.compacted >= seen.commit:
                break
            seen.compacted += 1
        return seen.compacted

    def _commits(
        self,
        member_id: int,
        before: int,
        commit: int,
        term: int,
        term_at: Callable[[int], int],
    ) -> None:
        if commit < before:
            raise Violated(f"{member_id} took its commit back: {before} to {commit}")
        for index in range(before + 1, commit + 1):
            mine = term_at(index)
            if mine > 0 and self._committed.setdefault(index, mine) != mine:
                raise Violated(
                    f"{member_id} commits entry {index} of term {mine}, others "
                    f"committed that of term {self._committed[index]}"
                )
        if commit > self._commit_moments[-1][0]:
            self._commit_moments.append((commit, term))

    # -- applying -------------------------------------------------------------

    def applies(
        self, member_id: int, entry: Entry, before: int, outcome: object
    ) -> bool:
        """
        State-machine safety: all apply the same, once, in order, with one outcome.

        :returns: whether this member is the first to apply it.
        """
        if entry.index != before + 1:
            raise Violated(
                f"{member_id} applies entry {entry.index} after entry {before}"
            )
        mine = (entry.term, entry.data, repr(outcome))
        known = self.applied.get(entry.index)
        if known is None:
            self.applied[entry.index] = mine
            return True
        if known[:2] != mine[:2]:
            raise Violated(
                f"state machine safety: {member_id} applies another entry "
                f"{entry.index}, of term {entry.term} instead of {known[0]}"
            )
        if known[2] != mine[2]:
            raise Violated(
                f"{member_id} has another outcome of entry {entry.index}: "
                f"{mine[2]} instead of {known[2]}"
            )
        return False

    def configured(self, index: int, configuration: Configuration) -> None:
        """A membership change was applied."""
        if index > self.configurations[-1][0]:
            self.configurations.append((index, configuration))

    def acknowledged(self, index: int, term: int) -> None:
        """A client was told that its write succeeded: a quorum must hold it."""
        for _, configuration in self.configurations[-CONFIGURATIONS_KEPT:]:
            voters = configuration.voters
            holders = sum(self.logs[voter].holds(index, term) for voter in voters)
            if holders * 2 > len(voters):
                return
        raise Violated(
            f"entry {index} of term {term} was acknowledged, no quorum holds it"
        )
