"""
Processes that are found, heard and configured, on members that are killed: everybody
who follows comes to the truth, and to nothing else on the way.

``KVD_CONTENTION_SEED`` repeats a run, ``KVD_CONTENTION_SECONDS`` makes it longer.
"""

from __future__ import annotations

import json

import pytest

from kvd.testing.servers import Make, cluster, kill_all, start_all
from tests.integration.conftest import SUBJECT
from tests.integration.contention.following import KEPT, SHORT
from tests.integration.contention.following_judges import (
    all_heard,
    config_reached,
    converged,
    judge_config,
    judge_durable,
    judge_lists,
    judge_messages,
    judge_nothing_missed,
    last_config,
    living,
)
from tests.integration.contention.roles import TTL
from tests.integration.contention.storm import FAULTS, Storm
from tests.integration.test_contention import AGAIN, HERE, SECONDS, SEED, everybody

ROLES = (
    *("serve", "succeed", "look", "look_by_name"),
    *("say", "hear", "hear_late", "consume"),
    *("configure", "obey"),
)
WORKERS = 3
NAMES = {f"w{number}" for number in range(WORKERS)}
HISTORY = 50
"""Events that members remember: so few that who sleeps has lost some when it wakes."""


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    # etcd always keeps a thousand events.
    options = {"event-history": HISTORY} if SUBJECT is Make.KVD else {}
    servers = cluster(SUBJECT, tmp_path_factory.mktemp("members"), 3, **options)
    try:
        start_all(servers)
        yield servers
    finally:
        kill_all(servers)


def enough(record):
    """Whether so much was done that something would have shown."""
    return (
        everybody(record, "found", "list", "said", "heard", "finished", "config")
        and record.count("said", of=KEPT) >= 100
        and record.count("heard") >= 300
        and record.count("finished") >= 50
        and record.count("set") >= 50
        # Those who doze lose history, if members do not remember more than that.
        and (SUBJECT is Make.ETCD or record.count("missed") > 0)
    )


def at_rest(record):
    return (
        everybody(record, "said all", "configured")
        and converged(record, "each")
        and converged(record, "one")
        and all_heard(record, KEPT, NAMES)
        and all_heard(record, SHORT, set())
        and config_reached(record)
    )


def long_enough(record):
    """Without any harm, until keys that nobody refreshes are gone."""
    return enough(record) and record.notes[-1].at - record.notes[0].at > TTL + 3


def said_all(record):
    return everybody(record, "said all", "configured")


def configuration(members, root):
    """What there is at the end."""
    _, _, body = members[0].ask(f"/v2/keys{root}/config?recursive=true&quorum=true")
    found, waiting = {}, [json.loads(body)["node"]]
    while waiting:
        node = waiting.pop()
        waiting += node.get("nodes", ())
        if not node.get("dir"):
            found[node["key"].removeprefix(f"{root}/config/")] = node["value"]
    return found


class Judgement:
    """
    One run: what each judge finds broken.

    :param roles: a module that has them.
    """

    def __init__(self, members, folder, *, root, roles, seconds, until):
        enough_was_done, comes_to_rest = until
        self.storm = Storm(
            members,
            folder / "notes",
            seed=SEED,
            root=root,
            roles=[f"{HERE}.{roles}:{each}" for each in ROLES],
            workers=WORKERS,
            seconds=seconds,
        )
        self.record = record = self.storm.run(enough_was_done, comes_to_rest)
        self.tree = configuration(members, root)
        self.problems = {
            "each": judge_lists(record, "each", TTL),
            "one": judge_lists(record, "one", TTL),
            "kept": judge_messages(record, KEPT),
            "short": judge_messages(record, SHORT),
            "nothing missed": judge_nothing_missed(record, KEPT),
            "durable": [
                problem
                for name in NAMES
                for problem in judge_durable(record, KEPT, name)
            ],
            "config": judge_config(record),
        }


JUDGES = ("each", "one", "kept", "short", "nothing missed", "durable", "config")

QUIET = {"nothing missed"}
"""Of what is said too much, and only after history was lost."""


@pytest.fixture(scope="module")
def stormy(members, tmp_path_factory):
    """One storm over all recipes."""
    print(AGAIN)
    folder = tmp_path_factory.mktemp("storm")
    judgement = Judgement(
        members,
        folder,
        root="/storm",
        roles="following",
        seconds=SECONDS / 2,  # and until every kind of harm was done
        until=(enough, at_rest),
    )
    assert set(FAULTS) <= set(judgement.storm.faults), f"no storm; {AGAIN}"
    return judgement


@pytest.mark.parametrize("judge", JUDGES)
def test_in_a_storm_who_follows_sees_the_truth(stormy, judge):
    """Lists, messages and values: see the judges."""
    problems = stormy.problems[judge]
    assert not problems, "\n".join([*problems[:10], AGAIN])


def test_after_a_storm_everybody_has_the_configuration_that_there_is(stormy):
    for who in living(stormy.record):
        assert last_config(stormy.record, who) == stormy.tree, AGAIN


@pytest.fixture(scope="module")
def unguarded(members, tmp_path_factory):
    """Recipes without their guard, on members that nobody harms."""
    return Judgement(
        members,
        tmp_path_factory.mktemp("calm"),
        root="/broken",
        roles="following_broken",
        seconds=0,
        until=(long_enough, said_all),
    )


@pytest.mark.parametrize("judge", [each for each in JUDGES if each not in QUIET])
def test_a_recipe_without_its_guard_is_found_out(unguarded, judge):
    assert unguarded.problems[judge], AGAIN
