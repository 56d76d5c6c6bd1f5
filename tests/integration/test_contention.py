"""
Processes that contend, on members that are killed: every recipe keeps its promises.

``KVD_CONTENTION_SEED`` repeats a run, ``KVD_CONTENTION_SECONDS`` makes it longer.
"""

from __future__ import annotations

import os
import random

import pytest

from kvd.testing.servers import Make, cluster, kill_all, start_all
from tests.integration.conftest import SUBJECT
from tests.integration.contention.chronicle import Chronicle
from tests.integration.contention.judges import (
    holds,
    judge_observers,
    judge_turns,
)
from tests.integration.contention.roles import ROOT, TTL
from tests.integration.contention.storm import FAULTS, Storm

SECONDS = float(os.environ.get("KVD_CONTENTION_SECONDS", "12"))
SEED = int(os.environ.get("KVD_CONTENTION_SEED", random.randrange(1 << 32)))
AGAIN = f"KVD_CONTENTION_SEED={SEED} KVD_CONTENTION_SECONDS={SECONDS:g}"
HERE = "tests.integration.contention"
ROLES = ("lock", "lead", "observe")
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


def enough(record):
    """Each recipe was used, by each who is there at the end, too."""
    alive = {note.who for note in record.of("begun")} - set(record.killed)
    return all(
        {hold.who for hold in holds(record, of)} >= alive for of in ("lock", "election")
    )


@pytest.fixture(scope="module")
def stormy(members, tmp_path_factory):
    """What came of one storm over all recipes: the record, and the history."""
    folder = tmp_path_factory.mktemp("storm") / "notes"
    roles = [f"{HERE}.roles:{each}" for each in ROLES]
    storm = Storm(
        members, folder, seed=SEED, roles=roles, workers=WORKERS, seconds=SECONDS
    )
    chronicle = Chronicle(members, ROOT, SEED)
    chronicle.start()
    print(AGAIN)
    try:
        record = storm.run(enough)
        history = chronicle.finish()
    finally:
        chronicle.stop()
    if SECONDS >= 12:
        assert set(FAULTS) <= set(storm.faults), f"it was no storm; {AGAIN}"
    return record, history


def judged(problems):
    assert not problems, "\n".join([*problems[:10], AGAIN])


def test_one_holds_a_lock_at_a_time(stormy):
    record, _ = stormy
    judged(judge_turns(record, "lock", TTL))


def test_one_leads_at_a_time(stormy):
    record, _ = stormy
    judged(judge_turns(record, "election", TTL))


def test_observers_see_every_leader_in_order(stormy):
    record, history = stormy
    assert record.count("saw") > 10
    judged(judge_observers(record, history, f"{ROOT}/election"))


JUDGES = {
    "lock": lambda record, _: judge_turns(record, "lock", TTL),
    "election": lambda record, _: judge_turns(record, "election", TTL),
    "observers": lambda record, history: judge_observers(
        record, history, f"{ROOT}/election"
    ),
}


def test_recipes_without_their_guard_are_found_out(members, tmp_path):
    """On members that nobody harms: what is broken shows by itself."""
    roles = [f"{HERE}.broken:{each}" for each in ROLES]
    storm = Storm(
        members, tmp_path / "notes", seed=SEED, roles=roles, workers=3, seconds=0
    )
    chronicle = Chronicle(members, ROOT, SEED)
    chronicle.start()

    def found_out(record):
        return all(judge(record, chronicle.events) for judge in JUDGES.values())

    try:
        storm.run(found_out)
    finally:
        chronicle.stop()
