"""
Processes that contend, on members that are killed: every recipe keeps its promises.

``KVD_CONTENTION_SEED`` repeats a run, ``KVD_CONTENTION_SECONDS`` makes it longer.
"""

from __future__ import annotations

import json
import os
import random
import time

import pytest

from kvd.testing.servers import Make, cluster, kill_all, start_all
from tests.integration.conftest import SUBJECT
from tests.integration.contention.chronicle import Chronicle
from tests.integration.contention.judges import (
    judge_barriers,
    judge_counter,
    judge_meetings,
    judge_observers,
    judge_queue,
    judge_turns,
)
from tests.integration.contention.roles import ATTEMPTS_MAX, MEETING, POISON, TTL
from tests.integration.contention.storm import FAULTS, Storm

SECONDS = float(os.environ.get("KVD_CONTENTION_SECONDS", "12"))
SEED = int(os.environ.get("KVD_CONTENTION_SEED", random.randrange(1 << 32)))
AGAIN = f"KVD_CONTENTION_SEED={SEED} KVD_CONTENTION_SECONDS={SECONDS:g}"
HERE = "tests.integration.contention"
ROLES = (
    "lock",
    "lead",
    "observe",
    "count",
    "count_by_name",
    "gate",
    "go",
    "put",
    "take",
    "meet",
)
WORKERS = 4


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    # The history is what beliefs are judged by; etcd always keeps a thousand events.
    options = {"event-history": 1_000_000} if SUBJECT is Make.KVD else {}
    servers = cluster(SUBJECT, tmp_path_factory.mktemp("members"), 3, **options)
    try:
        start_all(servers)
        yield servers
    finally:
        kill_all(servers)


def everybody(record, *marks):
    """Whether all who are there now have noted each of these."""
    alive = {note.who for note in record.of("begun")} - set(record.killed)
    return all(alive <= {note.who for note in record.of(mark)} for mark in marks)


def enough(record):
    """Whether so much was done that something would have shown."""
    return (
        everybody(record, "held", "saw", "added", "blocked", "passed", "put", "worked")
        and record.count("held", of="lock") >= 12
        and record.count("held", of="election") >= 12
        and record.count("saw") >= 20
        and record.count("added", of="counter") >= 50
        and record.count("added", of="named") >= 50
        and record.count("passed") >= 30
        and record.count("done") >= 25
        and record.count("left") >= 6
    )


def node_of(members, key):
    """What is there, as somebody knows who has a quorum; patient, for they may be slow."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for member in members:
            status, _, body = member.ask(f"/v2/keys{key}?quorum=true")
            if status in (200, 404):
                return json.loads(body).get("node", {})
    raise AssertionError(f"nobody can say what {key} is; {AGAIN}")


def listed(members, directory):
    return node_of(members, directory).get("nodes", [])


def number_of(members, name):
    """What a counter says at the end."""
    return int(node_of(members, name)["value"].split()[0])


class Judgement:
    """
    One run: what each judge finds broken.

    :param roles: a module that has them.
    """

    def __init__(self, members, folder, *, root, roles, seconds):
        self.storm = Storm(
            members,
            folder / "notes",
            seed=SEED,
            root=root,
            roles=[f"{HERE}.{roles}:{each}" for each in ROLES],
            workers=WORKERS,
            seconds=seconds,
        )
        self.members, self.root = members, root
        chronicle = Chronicle(members, root, SEED)
        chronicle.start()
        try:
            self.record = record = self.storm.run(enough, self.at_rest)
            history = chronicle.finish()
        finally:
            chronicle.stop()
        counters = {
            name: judge_counter(record, name, number_of(members, f"{root}/{name}"))
            for name in ("counter", "named")
        }
        self.problems = {
            "lock": judge_turns(record, "lock", TTL),
            "election": judge_turns(record, "election", TTL),
            "observers": judge_observers(record, history, f"{root}/election"),
            "barriers": judge_barriers(record),
            "meetings": judge_meetings(record, MEETING),
            "queue": judge_queue(
                record, history, f"{root}/queue", self.failed(), ATTEMPTS_MAX
            ),
            **counters,
        }

    def failed(self):
        """What was set aside, and after how many attempts."""
        nodes = listed(self.members, f"{self.root}/queue/failed")
        values = [node["value"].split() for node in nodes]
        return {value[-1]: int(value[0]) for value in values}

    def at_rest(self, record):
        """Everybody stopped, and all work is done."""
        return everybody(
            record, "gate left open", "went home", "stopped putting"
        ) and not listed(self.members, f"{self.root}/queue/items")


JUDGES = (
    "lock",
    "election",
    "observers",
    "barriers",
    "meetings",
    "queue",
    "counter",
    "named",
)


@pytest.fixture(scope="module")
def stormy(members, tmp_path_factory):
    """One storm over all recipes."""
    print(AGAIN)
    folder = tmp_path_factory.mktemp("storm")
    judgement = Judgement(
        members, folder, root="/storm", roles="roles", seconds=SECONDS
    )
    if SECONDS >= 12:
        assert set(FAULTS) <= set(judgement.storm.faults), f"no storm; {AGAIN}"
    return judgement


@pytest.mark.parametrize("judge", JUDGES)
def test_in_a_storm_promises_are_kept(stormy, judge):
    """One holds a lock, one leads, nobody passes a blocked barrier: see the judges."""
    problems = stormy.problems[judge]
    assert not problems, "\n".join([*problems[:10], AGAIN])


def test_an_addition_that_has_a_name_is_certain_but_for_who_was_killed(stormy):
    record = stormy.record
    unsure = record.count("adding", of="named") - record.count("added", of="named")
    # Everybody may have been killed, or ended, in the middle of one.
    assert unsure <= record.count("begun"), AGAIN


def test_poison_is_set_aside(stormy):
    put = {note["text"] for note in stormy.record.of("put")}
    poison = {text for text in put if text.endswith(POISON)}
    assert poison <= set(stormy.failed()), AGAIN


@pytest.fixture(scope="module")
def unguarded(members, tmp_path_factory):
    """Recipes without their guard, on members that nobody harms."""
    folder = tmp_path_factory.mktemp("calm")
    return Judgement(members, folder, root="/broken", roles="broken", seconds=0)


@pytest.mark.parametrize("judge", JUDGES)
def test_a_recipe_without_its_guard_is_found_out(unguarded, judge):
    assert unguarded.problems[judge], AGAIN
