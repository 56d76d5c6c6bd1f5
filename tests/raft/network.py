"""
Cores on a pretend network with pretend disks, in one thread and one order.

Nothing happens by itself: a test ticks, delivers, persists, crashes. Raft's four safety
properties (raft paper figure 3) are checked by :meth:`Network.check`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence

from kvd.raft.codec import decode_change, decode_message, encode_change, encode_message
from kvd.raft.core import Raft
from kvd.raft.log import Log
from kvd.raft.messages import (
    AppendResponse,
    ChangeKind,
    ConfigChange,
    Configuration,
    Entry,
    EntryKind,
    HardState,
    Heartbeat,
    InstallSnapshot,
    Message,
    Notice,
    Persist,
    RaftConfig,
    Role,
    SnapshotMeta,
    VoteResponse,
)


def normal(index, term, data=b""):
    return Entry(index, term, EntryKind.NORMAL, data)


def change_entry(index, term, kind, member_id):
    return Entry(
        index, term, EntryKind.CHANGE, encode_change(ConfigChange(kind, member_id))
    )


def bootstrap(voters: Iterable[int]) -> tuple[HardState, list[Entry]]:
    """What a fresh member has saved before it starts."""
    entries = [
        change_entry(index, 1, ChangeKind.ADD_VOTER, member_id)
        for index, member_id in enumerate(sorted(voters), 1)
    ]
    return HardState(term=1, commit=len(entries)), entries


def log_of(terms: Sequence[int]) -> list[Entry]:
    """Entries from index 1 with these terms, as the figures of the paper show them."""
    return [normal(index, term) for index, term in enumerate(terms, 1)]


def configuration(*voters: int, learners: Iterable[int] = ()) -> Configuration:
    return Configuration(frozenset(voters), frozenset(learners))


class Disk:
    """What survives a crash."""

    def __init__(self, hard_state=None, snapshot=None, entries=()):
        self.hard_state = hard_state or HardState()
        self.snapshot: SnapshotMeta | None = snapshot
        self.entries: list[Entry] = list(entries)

    def save(self, persist: Persist) -> None:
        if persist.snapshot is not None:
            self.snapshot = persist.snapshot
            self.entries = []
        if persist.entries:
            first = persist.entries[0].index
            self.entries = [e for e in self.entries if e.index < first]
            self.entries += persist.entries
        if persist.hard_state is not None:
            self.hard_state = persist.hard_state


class Member:
    """
    A core and the least driver that obeys its contract.

    :ivar applied: (index, term, data) of everything applied in this life and out of
        snapshots.
    :ivar saves_at_once: otherwise a Persist waits for :meth:`saved`.
    """

    def __init__(self, network, member_id, disk, config, randbelow, make):
        self.network = network
        self.id = member_id
        self.disk = disk
        self.config = config
        self.randbelow = randbelow
        self.make = make
        self.up = False
        self.saves_at_once = True
        self.applies_at_once = True
        self.start()

    def start(self):
        self.up = True
        self.saving: Persist | None = None
        self.reads: dict[int, int] = {}
        self.dropped: list[int] = []
        self.notices: list[Notice] = []
        self.persists = 0
        snapshot = self.disk.snapshot
        self.applied = (
            list(self.network.snapshots.get((snapshot.index, snapshot.term), ()))
            if snapshot
            else []
        )
        self.raft = self.make(
            self.config,
            hard_state=self.disk.hard_state,
            snapshot=snapshot,
            entries=[
                e
                for e in self.disk.entries
                if e.index > (snapshot.index if snapshot else 0)
            ],
            randbelow=self.randbelow,
        )
        self.turn()

    def crash(self):
        self.up = False

    @property
    def state(self):
        return self.raft._state

    @property
    def log(self) -> Log:
        return self.state.log

    def turn(self):
        """The Ready loop."""
        turns = 0
        while self.up and self.raft.has_ready():
            turns += 1
            assert turns < 1000, "the core never comes to rest"
            ready = self.raft.ready()
            self.network.send(ready.messages)
            self.notices += ready.notices
            if ready.persist is not None:
                assert self.saving is None
                self.saving = ready.persist
                self.persists += 1
            if ready.restore is not None:
                meta = ready.restore
                self.applied = list(
                    self.network.snapshots.get((meta.index, meta.term), ())
                )
                self.raft.restored(meta)
            for entry in ready.committed:
                self.apply(entry)
            if ready.committed:
                self.raft.applied(ready.committed[-1].index)
            for read in ready.reads:
                assert read.context not in self.reads, "a read was answered twice"
                self.reads[read.context] = read.index
            self.dropped += ready.dropped_reads
            if self.saving is not None and self.saves_at_once:
                self._saved()

    def apply(self, entry):
        if entry.kind is EntryKind.CHANGE:
            self.raft.apply_change(decode_change(entry.data))
        self.applied.append((entry.index, entry.term, entry.data))
        self.network.note_applied(self.id, entry)

    def _saved(self):
        persist, self.saving = self.saving, None
        self.disk.save(persist)
        self.network.send(persist.after)
        self.raft.persisted(persist)

    def saved(self):
        """The disk has done what it was asked."""
        if self.saving is not None:
            self._saved()
            self.turn()

    def tick(self, count=1):
        for _ in range(count):
            self.raft.tick()
            self.turn()

    def step(self, message):
        if self.up:
            self.raft.step(message)
            self.turn()

    def propose(self, *datas):
        taken = self.raft.propose(datas)
        self.turn()
        return taken

    def change(self, kind, member_id):
        refusal = self.raft.propose_change(ConfigChange(kind, member_id))
        self.turn()
        return refusal

    def read(self, context):
        taken = self.raft.read_index(context)
        self.turn()
        return taken

    def transfer(self, target):
        taken = self.raft.transfer(target)
        self.turn()
        return taken

    def snapshot(self, keep=0):
        """Make a snapshot of what is applied, and compact up to ``keep`` before it."""
        state = self.state
        meta = SnapshotMeta(
            state.applied, state.log.term(state.applied), state.configuration
        )
        self.network.snapshots[meta.index, meta.term] = list(self.applied)
        self.disk.snapshot = meta
        self.raft.snapshot_made(meta)
        self.raft.compact(meta.index - keep)
        self.turn()
        return meta

    def has_notice(self, kind):
        return any(notice.kind == kind for notice in self.notices)


class Network:
    """
    :param voters: ids of a bootstrapped cluster; tests may give ``disks`` instead.
    :ivar cut: directed (sender, receiver) pairs that lose everything.
    :ivar lose: a predicate of a message, for tests that lose something in particular.
    """

    def __init__(
        self,
        voters: Sequence[int] = (),
        *,
        disks: dict[int, Disk] | None = None,
        seed: int = 1,
        make: Callable[..., Raft] = Raft,
        **config,
    ):
        self.random = random.Random(seed)
        self.inflight: list[Message] = []
        self.sent: list[Message] = []
        self.cut: set[tuple[int, int]] = set()
        self.lose: Callable[[Message], bool] = lambda message: False
        self.snapshots: dict[tuple[int, int], list] = {(0, 0): []}
        self.members: dict[int, Member] = {}
        self.leaders: dict[int, int] = {}  # term -> leader
        self.committed: dict[int, Entry] = {}
        self.make = make
        self.config = config
        if disks is None:
            disks = {}
            for member_id in voters:
                hard_state, entries = bootstrap(voters)
                disks[member_id] = Disk(hard_state, None, entries)
        for disk in disks.values():
            if disk.snapshot is not None:
                meta = disk.snapshot
                self.snapshots.setdefault((meta.index, meta.term), [])
        for member_id, disk in disks.items():
            self.add(member_id, disk)

    def add(self, member_id, disk=None):
        config = RaftConfig(member_id, **self.config)
        member = Member(
            self, member_id, disk or Disk(), config, self.random.randrange, self.make
        )
        self.members[member_id] = member
        return member

    def __getitem__(self, member_id) -> Member:
        return self.members[member_id]

    def __iter__(self):
        return iter(self.members.values())

    # -- messages ---------------------------------------------------------------------

    def send(self, messages):
        for encoded in map(encode_message, messages):
            message = decode_message(encoded)
            self.sent.append(message)
            if (message.sender, message.to) not in self.cut and not self.lose(message):
                self.inflight.append(message)

    def isolate(self, *ids):
        """Nothing in or out, but among themselves."""
        for one in self.members:
            for other in self.members:
                if (one in ids) != (other in ids):
                    self.cut.add((one, other))

    def heal(self):
        self.cut.clear()
        self.lose = lambda message: False

    def deliver_one(self, message):
        self.inflight.remove(message)
        self.hand_over(message)

    def hand_over(self, message):
        member = self.members.get(message.to)
        if member is None or not member.up:
            if isinstance(message, InstallSnapshot):
                self.report_snapshot(message, ok=False)
            return
        if (message.sender, message.to) in self.cut:
            return
        member.step(message)
        if isinstance(message, InstallSnapshot):
            self.report_snapshot(message, ok=True)

    def report_snapshot(self, message, *, ok):
        sender = self.members[message.sender]
        if sender.up:
            sender.raft.report_snapshot(message.to, ok)
            sender.turn()

    def settle(self, limit=20_000):
        """Deliver in order until nothing is on its way."""
        while self.inflight:
            limit -= 1
            assert limit, "the network does not come to rest"
            self.hand_over(self.inflight.pop(0))
            self.check_leaders()

    # -- time ---------------------------------------------------------------------------

    def tick(self, *ids, count=1):
        """Tick these (all, if none is named) in turn, delivering in between."""
        for _ in range(count):
            for member in list(self.members.values()):
                if member.up and (not ids or member.id in ids):
                    member.tick()
            self.settle()

    def elect(self, member_id):
        """Let one time out until it leads."""
        for _ in range(200):
            if self[member_id].raft.role is Role.LEADER:
                self.settle()
                return self[member_id]
            for other in self:
                if other.up and other.id != member_id:
                    other.state.election_elapsed = 0
                    if other.raft.role is not Role.LEADER:
                        other.state.leader = 0
            self[member_id].tick()
            self.settle()
        raise AssertionError(f"{member_id} is not elected")

    def until_leader(self, ticks=400):
        """Tick everybody until somebody leads a settled majority."""
        for _ in range(ticks):
            self.tick()
            leader = self.leader()
            if leader is not None:
                return leader
        raise AssertionError("nobody is elected")

    def leader(self):
        leading = [m for m in self if m.up and m.raft.role is Role.LEADER]
        return max(leading, key=lambda m: m.raft.term, default=None)

    def restart(self, member_id):
        member = self[member_id]
        member.crash()
        member.start()
        return member

    # -- what must hold ---------------------------------------------------------------

    def note_applied(self, member_id, entry):
        """State machine safety: one entry for one index, everywhere, for ever."""
        known = self.committed.setdefault(entry.index, entry)
        assert known == entry, f"{member_id} applied {entry}, somebody {known}"

    def check_leaders(self):
        """Election safety: at most one leader in a term."""
        for member in self:
            if member.up and member.raft.role is Role.LEADER:
                known = self.leaders.setdefault(member.raft.term, member.id)
                assert known == member.id, (
                    f"{known} and {member.id} lead in term {member.raft.term}"
                )

    def check(self):
        self.check_leaders()
        up = [m for m in self if m.up]
        for member in up:
            log = member.log
            # Leader completeness: whoever leads has everything that is committed,
            # unless a later term has begun elsewhere.
            if member.raft.role is Role.LEADER and member.raft.term == max(
                m.raft.term for m in up
            ):
                for index, entry in self.committed.items():
                    assert index <= log.offset or (
                        index <= log.last and log.term(index) == entry.term
                    ), f"leader {member.id} lacks committed {entry}"
            for index in range(log.offset + 1, member.raft.commit + 1):
                known = self.committed.get(index)
                assert known is None or known == log.slice(index, index)[0]
        # Log matching: same index and term, same everything before.
        for one in up:
            for other in up:
                if one.id < other.id:
                    check_log_matching(one.log, other.log)


def check_log_matching(one: Log, other: Log) -> None:
    first = max(one.offset, other.offset) + 1
    last = min(one.last, other.last)
    matching = False
    for index in range(last, first - 1, -1):
        same_term = one.term(index) == other.term(index)
        matching = matching or same_term
        if matching:
            assert one.slice(index, index) == other.slice(index, index), (
                f"logs differ at {index} below a common entry"
            )


# -- one core alone, with a test that plays all the others --------------------------------


def lone(
    terms: Sequence[int] = (),
    *,
    term: int | None = None,
    vote: int = 0,
    commit: int = 0,
    voters: Iterable[int] = (1, 2, 3),
    learners: Iterable[int] = (),
    snapshot: SnapshotMeta | None = None,
    **config,
) -> Member:
    """Member 1 with this log, freshly started; the others do not exist."""
    if snapshot is None:
        snapshot = SnapshotMeta(0, 0, configuration(*voters, learners=learners))
    entries = [
        normal(index, entry_term)
        for index, entry_term in enumerate(terms, snapshot.index + 1)
    ]
    if term is None:
        term = max([*terms, snapshot.term])
    disk = Disk(HardState(term, vote, commit), snapshot, entries)
    return Network(disks={1: disk}, **config)[1]


def take(member: Member, kind: type | None = None) -> list:
    """What has left the member since the last call, of one kind if one is given."""
    sent = [message for message in member.network.sent if message.sender == member.id]
    member.network.sent.clear()
    member.network.inflight.clear()
    return [m for m in sent if kind is None or isinstance(m, kind)]


def time_out(member: Member) -> None:
    """Let it campaign."""
    campaigns = member.state.election_timeout
    member.tick(campaigns)


def lead(member: Member) -> int:
    """Member 1 wins the votes of all the others; its term."""
    state = member.state
    time_out(member)
    others = sorted(state.configuration.voters - {1})
    if member.raft.role is Role.PRE_CANDIDATE:
        for other in others:
            member.step(VoteResponse(1, other, state.term + 1, True, True))
    member.saved()
    for other in others:
        member.step(VoteResponse(1, other, state.term, True, False))
    assert member.raft.role is Role.LEADER
    take(member)
    return state.term


def ack(member: Member, *others: int, index: int | None = None) -> None:
    """These members have stored everything, or up to ``index``."""
    last = member.log.last if index is None else index
    for other in others:
        member.step(AppendResponse(1, other, member.raft.term, last, False, 0, 0))


def terms_of(member: Member) -> list[int]:
    log = member.log
    return [entry.term for entry in log.entries]


def follow(member: Member, leader: int = 2, term: int | None = None) -> None:
    """Hear from a leader."""
    member.step(Heartbeat(1, leader, term or max(member.raft.term, 1), 0, 1))
    take(member)
