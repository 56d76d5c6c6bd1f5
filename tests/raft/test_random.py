"""
Cores under a storm, and the safety properties of raft paper figure 3 all along.

Seeded; a failure names its seed, and ``STORM_SEED=n`` runs that one alone.
"""

import os
import random

import pytest

from kvd.raft.messages import ChangeKind, InstallSnapshot, Role

from .network import Network

SEEDS = 50
STEPS = 700


class Storm:
    """Random ticks, deliveries, losses, repeats, cuts, slow disks and crashes."""

    def __init__(self, seed, size, **how):
        self.random = random.Random(seed)
        self.network = Network(range(1, size + 1), seed=seed, **how)
        self.size = size
        self.context = 0
        self.value = 0
        self.asked = {}  # context -> (member, highest commit anywhere when asked)
        for member in self.network:
            member.saves_at_once = self.random.random() < 0.5
        chance = self.random
        self.disorder = chance.choice((0, 0.05, 0.3))
        self.loss = chance.choice((0, 0.01, 0.1))
        often = {
            self.deliver: 60,
            self.tick: 12,
            self.save: 15,
            self.propose: 6,
            self.read: 4,
            self.snapshot: chance.choice((0, 1, 3)),
            self.cut: chance.choice((0, 0.3, 1)),
            self.transfer: chance.choice((0, 0.5)),
            self.change: chance.choice((0, 0, 2)),
            self.crash: chance.choice((0, 0.3, 1)),
        }
        self.events = list(often)
        self.weights = list(often.values())

    def run(self, steps):
        for step in range(steps):
            self.one()
            self.network.check_leaders()
            self.check_reads()
            if step % 10 == 0:
                self.network.check()

    def one(self):
        what = self.random.choices(self.events, self.weights)[0]
        what(self.random.choice(list(self.network)))

    def deliver(self, _):
        network, chance = self.network, self.random
        if not network.inflight:
            return
        # mostly in order, as one connection does; sometimes not
        late = chance.random() < self.disorder
        first = chance.randrange(len(network.inflight)) if late else 0
        message = network.inflight.pop(first)
        fate = chance.random()
        if fate < self.loss:
            if isinstance(message, InstallSnapshot):
                network.report_snapshot(message, ok=False)
            elif network[message.sender].up and chance.random() < 0.5:
                network[message.sender].raft.report_unreachable(message.to)
                network[message.sender].turn()
            return
        if fate < 2 * self.loss:
            network.inflight.insert(
                chance.randrange(len(network.inflight) + 1), message
            )
        network.hand_over(message)

    def tick(self, member):
        if member.up:
            member.tick()

    def save(self, member):
        member.saved()

    def propose(self, member):
        if member.up:
            self.value += 1
            member.propose(*[b"%d" % self.value] * self.random.choice((1, 1, 5)))

    def snapshot(self, member):
        if member.up and member.state.applied > member.log.offset:
            member.snapshot(keep=self.random.choice((0, 2)))

    def cut(self, _):
        if self.random.random() < 0.4:
            self.network.heal()
        else:
            one, other = self.random.sample(range(1, self.size + 1), 2)
            self.network.cut.add((one, other))

    def transfer(self, member):
        if member.up:
            member.transfer(self.random.choice(list(self.network)).id)

    def crash(self, member):
        if member.up:
            member.crash()
        else:
            member.start()

    def read(self, member):
        if member.up:
            self.context += 1
            known = max(self.network.committed, default=0)
            if member.read(self.context):
                self.asked[self.context] = (member, known)

    def change(self, member):
        if member.up and member.raft.role is Role.LEADER:
            target = self.random.choice(list(self.network)).id
            kind = self.random.choice(
                (ChangeKind.ADD_VOTER, ChangeKind.ADD_LEARNER, ChangeKind.REMOVE)
            )
            member.change(kind, target)

    def check_reads(self):
        """A confirmed read sees all that anybody had applied when it was asked."""
        for context, (member, known) in list(self.asked.items()):
            if context in member.reads:
                assert member.reads[context] >= known, f"a stale read: {context}"
                del self.asked[context]

    def calm(self):
        """Everybody up and connected: a leader, and all logs become equal."""
        network = self.network
        network.heal()
        for member in network:
            member.saves_at_once = True
            if not member.up:
                member.start()
            member.saved()
        network.settle()
        for _ in range(400):
            network.tick()
            network.check()
            leader = network.leader()
            if leader and all(
                member.raft.applied_index == leader.log.last
                for member in network
                if leader.state.is_member(member.id)
            ):
                return
        raise AssertionError(f"no calm: {[(m.id, m.raft.status()) for m in network]}")


def storm(seed, **how):
    try:
        chance = random.Random(f"how {seed}")
        size = chance.choice((3, 3, 5))
        how.setdefault("election_ticks", chance.choice((3, 3, 10)))
        how.setdefault("pre_vote", chance.random() < 0.8)
        how.setdefault("check_quorum", chance.random() < 0.8)
        how.setdefault("append_bytes_max", chance.choice((30, 100, 1 << 20)))
        how.setdefault("inflight_messages_max", chance.choice((1, 3, 64)))
        how.setdefault("snapshot_retry_ticks", 20)
        how.setdefault("strict_reconfig", chance.random() < 0.5)
        storm = Storm(seed, size, **how)
        storm.run(STEPS)
        storm.calm()
    except BaseException as error:
        error.add_note(f"STORM_SEED={seed}")
        raise


def seeds():
    if "STORM_SEED" in os.environ:
        return [int(os.environ["STORM_SEED"])]
    return range(int(os.environ.get("STORM_SEEDS", SEEDS)))


@pytest.mark.parametrize("seed", seeds())
def test_nothing_that_was_promised_is_lost_in_a_storm(seed):
    storm(seed)
