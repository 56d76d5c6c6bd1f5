"""What a log says at its end, and what the next save may be."""

from __future__ import annotations

import attrs

from kvd.errors import invariant
from kvd.raft.messages import NOBODY, HardState
from kvd.storage.records import Mark, Save


class LogState:
    """
    The rules are the same when a save is written and when it is read back.

    :ivar last_index: of the newest entry, or of the snapshot that reset the log.
    :ivar base_index: of the newest snapshot that reset the log, 0 if none did.
    :ivar mark_index: of the newest snapshot that the log names, 0 if it names none.
    """

    def __init__(
        self, hard_state: HardState, *, last_index: int, last_term: int
    ) -> None:
        self.hard_state = hard_state
        self.last_index = last_index
        self.last_term = last_term
        self.base_index = 0
        self.mark_index = 0

    def advance(self, save: Save) -> None:
        """
        Take the save in.

        :raises InvariantViolated: it takes back a promise: a term, a vote, an entry
            that is committed, or leaves a gap.
        """
        if save.mark is not None:
            self._advance_mark(save.mark)
        if save.entries:
            self._advance_entries(save)
        if save.hard_state is not None:
            self._advance_hard_state(save.hard_state)
        state = self.hard_state
        invariant(state.commit <= self.last_index, "commit is beyond the log's end")
        invariant(self.last_term <= state.term, "an entry's term is beyond our own")

    def raise_commit(self, index: int) -> None:
        """A durable snapshot says more than the last hard state did."""
        if index > self.hard_state.commit:
            self.hard_state = attrs.evolve(self.hard_state, commit=index)

    def _advance_mark(self, mark: Mark) -> None:
        if mark.resets:
            state = self.hard_state
            invariant(
                mark.index > state.commit, "a leader's snapshot must be news to us"
            )
            self.base_index = mark.index
            self.last_index = mark.index
            self.last_term = mark.term
            # A newer term in which we have not voted: a vote is durable before it
            # is given.
            newer = mark.term > state.term
            self.hard_state = HardState(
                term=mark.term if newer else state.term,
                vote=NOBODY if newer else state.vote,
                commit=mark.index,
            )
        self.mark_index = max(self.mark_index, mark.index)

    def _advance_entries(self, save: Save) -> None:
        first, last = save.entries[0], save.entries[-1]
        invariant(first.index <= self.last_index + 1, "entries leave a gap in the log")
        invariant(
            first.index > self.hard_state.commit, "entries replace committed ones"
        )
        if first.index == self.last_index + 1:
            invariant(first.term >= self.last_term, "an entry's term goes backward")
        self.last_index = last.index
        self.last_term = last.term

    def _advance_hard_state(self, new: HardState) -> None:
        old = self.hard_state
        invariant(new.term >= old.term, "the term goes backward")
        invariant(
            new.term > old.term or old.vote in {NOBODY, new.vote},
            "a second vote in one term",
        )
        invariant(new.commit >= old.commit, "the commit index goes backward")
        self.hard_state = new
