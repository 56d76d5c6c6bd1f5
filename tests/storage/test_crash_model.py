"""Random lives of a storage, with the power going at any call, against a plain list."""

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvd.errors import KvdError
from kvd.raft.messages import HardState
from kvd.storage.log_state import LogState
from kvd.storage.replay import Replay
from kvd.storage.wal import Wal
from tests.storage.fakes import (
    IDENTITY,
    FakeDisk,
    FakeFile,
    Machine,
    PowerCut,
    entry,
    meta_at,
    seeded,
)


@attrs.define
class Model:
    """What must be there: the log as a list, whose first entry stands at base + 1."""

    hard_state: HardState = attrs.Factory(HardState)
    base: int = 0
    base_term: int = 0
    terms: list = attrs.Factory(list)
    data: list = attrs.Factory(list)
    own: dict = attrs.Factory(dict)  # index -> term, of own snapshots

    @property
    def last(self):
        return self.base + len(self.terms)

    def term_at(self, index):
        return (
            self.base_term if index == self.base else self.terms[index - self.base - 1]
        )

    def copy(self):
        return attrs.evolve(
            self, terms=list(self.terms), data=list(self.data), own=dict(self.own)
        )

    def after(self, snapshot):
        """The entries behind a snapshot that the log contains."""
        skip = snapshot - self.base
        return list(zip(self.terms[skip:], self.data[skip:], strict=True))


class Life:
    """Draws operations, applies them to a storage and to the model."""

    def __init__(self, random, machine):
        self.random = random
        self.machine = machine
        self.model = Model()
        self.pending = None
        self.snapshots = {0}  # indexes of snapshots that may be the newest
        self.unique = 0

    def step(self):
        model = self.model
        choice = self.random.randrange(10)
        if choice < 6:
            self.save()
        elif choice == 6 and model.hard_state.commit > model.base:
            self.own_snapshot()
        elif choice == 7:
            self.received_snapshot()
        elif choice == 8:
            self.machine.close()
            self.machine.open()
            self.check()
        else:
            newest = max(self.snapshots)
            index = self.random.randint(0, newest)
            self.machine.do(self.machine.persistence.compact(index))

    def save(self):
        random, model = self.random, self.model
        new = model.copy()
        state = model.hard_state
        term = state.term + (random.randrange(4) == 0) + (state.term == 0)
        vote = state.vote if term == state.term and state.vote else random.randrange(4)
        entries = []
        if random.randrange(5):
            low = max(state.commit, model.base) + 1
            first = random.randint(low, model.last + 1)
            if term == state.term and random.randrange(3):
                first = model.last + 1
            count = random.randrange(1, 6)
            keep = first - new.base - 1
            before = new.term_at(first - 1)
            if max(before, 1) > term:
                return
            del new.terms[keep:], new.data[keep:]
            for index in range(first, first + count):
                self.unique += 1
                data = random.randbytes(random.randrange(40)) + b"%d" % self.unique
                entries.append(entry(index, term, data))
                new.terms.append(term)
                new.data.append(data)
        commit = random.randint(max(state.commit, new.base), new.last)
        new.hard_state = HardState(term=term, vote=vote, commit=commit)
        self.pending = new
        self.machine.save(new.hard_state, tuple(entries))
        self.model, self.pending = new, None

    def own_snapshot(self):
        model = self.model
        index = self.random.randint(model.base + 1, model.hard_state.commit)
        if index <= max(self.snapshots):
            return
        meta = meta_at(index, model.term_at(index))
        self.snapshots.add(index)
        self.machine.write_snapshot(meta, b"own %d" % index)

    def received_snapshot(self):
        model, random = self.model, self.random
        index = model.hard_state.commit + random.randint(1, 8)
        term = max(model.hard_state.term, 1) + random.randrange(2)
        if index <= model.last and model.term_at(index) == term:
            return  # the core would have said that it has this
        meta = meta_at(index, term)
        self.machine.write_snapshot(meta, b"received %d" % index, received=True)
        state = HardState(term=term, vote=0, commit=index)
        if term == model.hard_state.term:
            state = attrs.evolve(state, vote=model.hard_state.vote)
        self.pending = Model(hard_state=state, base=index, base_term=term)
        self.machine.save(state, (), meta)
        self.model, self.pending = self.pending, None
        self.snapshots = {index}

    def check(self):
        """What came back is one of the two that it may be."""
        found = self.machine.recovered
        snapshot = found.snapshot.index if found.snapshot else 0
        got = [(e.term, e.data) for e in found.entries]
        assert [e.index for e in found.entries] == list(
            range(snapshot + 1, snapshot + 1 + len(got))
        )
        for candidate in (self.model, self.pending):
            if candidate is not None and self.matches(candidate, found, snapshot, got):
                self.model, self.pending = candidate, None
                self.snapshots = {s for s in self.snapshots if s <= snapshot}
                self.snapshots.add(snapshot)
                return
        raise AssertionError(f"{found} is neither {self.model} nor {self.pending}")

    def matches(self, model, found, snapshot, got):
        state = model.hard_state
        expected = HardState(state.term, state.vote, max(state.commit, snapshot))
        if snapshot < model.base or snapshot > model.last:
            return False
        if found.snapshot and found.snapshot.term != model.term_at(snapshot):
            return False
        return found.hard_state == expected and got == model.after(snapshot)


def live(seed, steps, cut_at):
    random = seeded(seed)
    machine = Machine(
        segment_bytes=random.choice([1, 300, 1 << 20]),
        snapshots_keep=random.choice([0, 1, 2]),
        wals_keep=random.choice([0, 1, 2]),
    ).open()
    life = Life(random, machine)
    machine.disk.cut_at = cut_at
    for _ in range(steps):
        try:
            life.step()
        except PowerCut:
            if random.randrange(2):
                machine.disk.power_cut(random)
            else:
                machine.disk.restart()
            # It may go again while it comes back.
            machine.disk.cut_at = random.randrange(20) if random.randrange(2) else -1
            try:
                machine.open()
            except PowerCut:
                machine.disk.power_cut(random)
                machine.open()
            assert machine.recovered.identity == IDENTITY
            life.check()
            machine.disk.cut_at = random.randrange(60)
    machine.disk.restart()
    machine.open()
    life.check()
    newest = machine.recovered.snapshot
    if newest is not None:
        meta, content = machine.read_snapshot()
        assert meta == newest
        assert content in {b"own %d" % meta.index, b"received %d" % meta.index}
    return life


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    seed=st.integers(0, 1 << 32),
    steps=st.integers(1, 40),
    cut_at=st.integers(0, 120),
)
def test_what_was_acknowledged_survives_a_power_cut_at_any_call(seed, steps, cut_at):
    live(seed, steps, cut_at)


def no_sync(self):
    """A file whose sync does nothing."""
    self.disk.called("sync", self.path)


def resume_unsynced(self, replay):
    """Go on behind what was read without a word to the disk."""
    sync, FakeFile.sync = FakeFile.sync, no_sync
    try:
        resume(self, replay)
    finally:
        FakeFile.sync = sync


def adopt_unsynced(self, disk):
    sync, FakeFile.sync = FakeFile.sync, no_sync
    try:
        adopt(self, disk)
    finally:
        FakeFile.sync = sync


def cut_unsynced(self):
    """The seal is not durable when the next segment gets its name."""
    sync, FakeFile.sync = FakeFile.sync, no_sync
    try:
        cut(self)
    finally:
        FakeFile.sync = sync


def sync_no_folder(self, path):
    self.called("sync_folder", path)


def replay_nothing_replaced(self, save):
    """Of entries written twice both are kept."""
    self.entries.extend(e for e in save.entries if e.index > self._snapshot_index)


def forget_the_vote(self, new):
    self.hard_state = attrs.evolve(new, vote=0)


resume, adopt, cut = Wal.resume, Replay._adopt, Wal.cut

PLANTED = [
    (Wal, "resume", resume_unsynced),
    (Replay, "_adopt", adopt_unsynced),
    (Wal, "cut", cut_unsynced),
    (FakeFile, "sync", no_sync),
    (FakeDisk, "sync_folder", sync_no_folder),
    (Replay, "_collect", replay_nothing_replaced),
    (LogState, "_advance_hard_state", forget_the_vote),
]


@pytest.mark.parametrize(
    ("owner", "name", "bug"), PLANTED, ids=[bug.__name__ for _, _, bug in PLANTED]
)
def test_random_lives_notice_a_planted_bug(monkeypatch, owner, name, bug):
    monkeypatch.setattr(owner, name, bug)
    with pytest.raises((AssertionError, KvdError, OSError)):
        for seed in range(600):
            live(seed, 20, seed % 100)
