"""
Whole exchanges, written down: ``data/*.txt`` holds commands and what they bring about.

A block is commands, a line ``----``, and the expected output up to an empty line.
``KVD_REWRITE=1`` writes what came out instead of comparing; the diff is the review.

Commands::

    cluster 1 2 3 [pre-vote=no] [check-quorum=no] [inflight=2] [bytes=100]
    logs [term=7] [bytes=1] 1:1,1,4 2:1,4   members with these logs, in one configuration
    campaign 1          its timer runs out
    tick 1 [5]          time passes for one
    deliver [2>1 ...]   everything on its way (of these pairs), until none is left
    step [2>1]          only what is on its way now, not what follows from it
    drop [2>1]          lose it
    cut 1 3 / heal      both ways; cut 1>3 one way
    propose 1 x [y]     and read 1 7, transfer 1 2, remove 1 3, add 1 4, learn 1 4
    new 4               an empty member
    snapshot 1          and compact
    log [1]             terms of the log, commit index in brackets
    status [1]          role, term, leader, commit, applied
    progress 1          what the leader knows
    quiet               the rest of the block says nothing, not even of messages
"""

import os
from pathlib import Path

import pytest

from kvd.raft.messages import (
    AppendEntries,
    AppendResponse,
    ChangeKind,
    EntryKind,
    HardState,
    Heartbeat,
    HeartbeatResponse,
    InstallSnapshot,
    Propose,
    ReadIndexRequest,
    ReadIndexResponse,
    RequestVote,
    SnapshotMeta,
    TimeoutNow,
    TransferRequest,
    VoteResponse,
)

from .network import Disk, Network, configuration, log_of

DATA = Path(__file__).parent / "data"


def told(message):
    """A message in words."""
    words = [f"{message.sender}>{message.to} {type(message).__name__}"]
    if not isinstance(
        message, Propose | ReadIndexRequest | ReadIndexResponse | TransferRequest
    ):
        words.append(f"term={message.term}")
    match message:
        case RequestVote():
            words.append(f"last={message.last_index}/{message.last_term}")
            words += ["pre"] * message.pre + ["transfer"] * message.transfer
        case VoteResponse():
            words.append("granted" if message.granted else "refused")
            words += ["pre"] * message.pre
        case AppendEntries():
            words.append(f"prev={message.prev_index}/{message.prev_term}")
            words.append(f"commit={message.commit}")
            if message.entries:
                words.append(
                    "entries="
                    + ",".join(f"{e.index}/{e.term}" for e in message.entries)
                )
        case AppendResponse():
            words.append(
                f"refused={message.index} hint={message.hint_index}/{message.hint_term}"
                if message.rejected
                else f"index={message.index}"
            )
        case Heartbeat():
            words.append(f"commit={message.commit} round={message.round}")
        case HeartbeatResponse():
            words.append(f"round={message.round}")
        case InstallSnapshot():
            meta = message.meta
            words.append(
                f"index={meta.index}/{meta.term} "
                f"voters={sorted(meta.configuration.voters)}"
            )
        case Propose():
            words.append(",".join(kind.name for kind, _ in message.proposals))
        case ReadIndexResponse():
            words.append(f"index={message.index}")
        case TransferRequest():
            words.append(f"target={message.target}")
        case TimeoutNow() | ReadIndexRequest():
            pass
    return " ".join(words)


class Script:
    def __init__(self):
        self.network = None
        self.lines = []
        self.quiet = False

    # -- setting up -------------------------------------------------------------------

    def options(self, words):
        names = {
            "pre-vote": ("pre_vote", lambda v: v == "yes"),
            "check-quorum": ("check_quorum", lambda v: v == "yes"),
            "inflight": ("inflight_messages_max", int),
            "bytes": ("append_bytes_max", int),
        }
        found = {}
        for word in words:
            name, _, value = word.partition("=")
            key, read = names[name]
            found[key] = read(value)
        return found

    def fix_timers(self):
        for member in self.network:
            member.state.randbelow = lambda n: n // 2
            member.state.election_timeout = 15

    def cluster(self, *words):
        ids = [int(word) for word in words if word.isdigit()]
        options = self.options([word for word in words if not word.isdigit()])
        self.network = Network(ids, **options)
        self.fix_timers()

    def logs(self, *words):
        term = 0
        terms = {}
        options = []
        for word in words:
            if word.startswith("term="):
                term = int(word[5:])
            elif "=" in word:
                options.append(word)
            else:
                member, _, log = word.partition(":")
                terms[int(member)] = [int(t) for t in log.split(",") if t]
        everyone = SnapshotMeta(0, 0, configuration(*terms))
        self.network = Network(
            disks={
                member: Disk(HardState(max([term, *log])), everyone, log_of(log))
                for member, log in terms.items()
            },
            **self.options(options),
        )
        self.fix_timers()

    def new(self, member):
        self.network.add(int(member))
        self.fix_timers()

    # -- what happens -------------------------------------------------------------------

    def campaign(self, member):
        state = self.network[int(member)].state
        state.election_elapsed = state.election_timeout - 1
        self.network[int(member)].tick()

    def tick(self, member, count="1"):
        self.network[int(member)].tick(int(count))

    def of(self, pairs):
        wanted = [tuple(map(int, pair.split(">"))) for pair in pairs]
        return [
            m for m in self.network.inflight if not wanted or (m.sender, m.to) in wanted
        ]

    def hand_over(self, message):
        self.network.inflight.remove(message)
        lost = (message.sender, message.to) in self.network.cut
        self.say(told(message) + (" (lost)" if lost else ""))
        self.network.hand_over(message)
        self.network.check_leaders()

    def deliver(self, *pairs):
        while found := self.of(pairs):
            self.hand_over(found[0])

    def step(self, *pairs):
        for message in self.of(pairs):
            self.hand_over(message)

    def drop(self, *pairs):
        for message in self.of(pairs):
            self.network.inflight.remove(message)
            self.say(told(message) + " (dropped)")
            if isinstance(message, InstallSnapshot):
                self.network.report_snapshot(message, ok=False)

    def cut(self, *words):
        if len(words) == 1:
            self.network.cut.add(tuple(map(int, words[0].split(">"))))
        else:
            one, other = map(int, words)
            self.network.cut |= {(one, other), (other, one)}

    def heal(self):
        self.network.heal()

    def propose(self, member, *values):
        taken = self.network[int(member)].propose(*(v.encode() for v in values))
        self.say("taken" if taken else "refused")

    def read(self, member, context):
        self.say("taken" if self.network[int(member)].read(int(context)) else "refused")

    def reads(self, member):
        member = self.network[int(member)]
        self.say(f"answered {member.reads} dropped {member.dropped}")

    def transfer(self, member, target):
        taken = self.network[int(member)].transfer(int(target))
        self.say("taken" if taken else "refused")

    def change(self, member, kind, target):
        refusal = self.network[int(member)].change(kind, int(target))
        self.say("taken" if refusal is None else refusal.value)

    def remove(self, member, target):
        self.change(member, ChangeKind.REMOVE, target)

    def add(self, member, target):
        self.change(member, ChangeKind.ADD_VOTER, target)

    def learn(self, member, target):
        self.change(member, ChangeKind.ADD_LEARNER, target)

    def snapshot(self, member):
        meta = self.network[int(member)].snapshot()
        self.say(f"index={meta.index}/{meta.term}")

    # -- looking ------------------------------------------------------------------------

    def say(self, line):
        if not self.quiet:
            self.lines.append(line)

    def chosen(self, words):
        return [self.network[int(w)] for w in words] or list(self.network)

    def log(self, *words):
        for member in self.chosen(words):
            log = member.log
            marks = {EntryKind.NOOP: "n", EntryKind.CHANGE: "c", EntryKind.NORMAL: ""}
            shown = " ".join(f"{e.term}{marks[e.kind]}" for e in log.entries)
            compacted = f"..{log.offset} " if log.offset else ""
            self.say(f"{member.id}: {compacted}{shown} [{member.raft.commit}]")

    def status(self, *words):
        for member in self.chosen(words):
            raft = member.raft
            voters = sorted(member.state.configuration.voters)
            learners = sorted(member.state.configuration.learners)
            self.say(
                f"{member.id}: {raft.role.value} term={raft.term} leader={raft.leader} "
                f"commit={raft.commit} applied={raft.applied_index} voters={voters}"
                + (f" learners={learners}" if learners else "")
            )

    def progress(self, member):
        for progress in self.network[int(member)].raft.status().progress:
            internal = self.network[int(member)].state.progress[progress.member_id]
            self.say(
                f"{progress.member_id}: {progress.state} match={progress.match} "
                f"next={progress.next}"
                + (" paused" if internal.paused else "")
                + (f" inflight={len(internal.inflight)}" if internal.inflight else "")
            )

    def run(self, block):
        self.lines = []
        self.quiet = False
        for line in block:
            if line.startswith("#") or not line:
                continue
            if line == "quiet":
                self.quiet = True
                continue
            name, *words = line.split()
            getattr(self, name)(*words)
        self.network.check()
        return self.lines or ["ok"]


def blocks(text):
    """(comment and commands, expected output) of each block."""
    for block in text.strip().split("\n\n"):
        commands, _, expected = block.partition("\n----\n")
        yield commands.removesuffix("\n----").split("\n"), expected.strip().split("\n")


@pytest.mark.parametrize("path", sorted(DATA.glob("*.txt")), ids=lambda p: p.stem)
def test_the_exchange_is_as_written(path):
    script = Script()
    written = []
    for commands, expected in blocks(path.read_text(encoding="utf-8")):
        got = script.run(commands)
        written.append("\n".join([*commands, "----", *got]))
        if not os.environ.get("KVD_REWRITE"):
            assert got == expected, f"after {commands}"
    if os.environ.get("KVD_REWRITE"):
        path.write_text("\n\n".join(written) + "\n", encoding="utf-8")


def test_there_are_scripts():
    assert len(list(DATA.glob("*.txt"))) >= 7
