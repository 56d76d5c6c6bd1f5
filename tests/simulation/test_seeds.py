"""Two thousand seeds, and what they must have in common."""

import os

import pytest

from kvd.testing import simulate
from kvd.testing.simulate import COUNTED, Tally, describe, run_seeds
from kvd.testing.simulation import Report, plan_of

SEEDS = int(os.environ.get("KVD_SIMULATION_SEEDS", "2000"))
ENOUGH_TO_COUNT = 500


@pytest.mark.slow
def test_every_seed_keeps_every_promise_and_every_fault_is_reached():
    """``KVD_SIMULATION_SEEDS`` makes it more or fewer; rare faults need many."""
    tally = Tally()
    for report in run_seeds(range(SEEDS), processes=os.cpu_count() or 1):
        tally.add(report)
        if len(tally.failures) >= 5:
            break
    print(tally.table())
    failures = "\n".join(describe(report) for report in tally.failures)
    assert not failures, failures
    assert tally.seeds == SEEDS
    assert tally.operations > 20 * SEEDS
    if SEEDS >= ENOUGH_TO_COUNT:
        assert tally.rare() == []


@pytest.mark.parametrize("seed", [3, 16, 1005])
def test_the_same_seed_gives_the_same_trace(seed):
    traces = [[], []]
    reports = [simulate.simulate(seed, trace=trace) for trace in traces]
    assert traces[0] == traces[1]
    assert len(traces[0]) > 50
    assert reports[0] == reports[1]


def test_different_seeds_are_different_simulations():
    plans = {plan_of(seed) for seed in range(20)}
    assert len(plans) == 20
    assert {plan.members for plan in map(plan_of, range(60))} == {1, 3, 5}
    assert plan_of(7, 5).members == 5
    for plan in map(plan_of, range(20)):
        assert plan_of(plan.seed, plan.members) == plan


def test_the_command_prints_a_table_and_is_content(capsys):
    assert simulate.main(["--seeds", "3", "--start", "40", "--processes", "1"]) == 0
    out, err = capsys.readouterr()
    assert "3 seeds, " in out
    assert "fault or event" in out
    assert "3/3 seeds, 0 failed" in err


def test_the_command_says_how_to_see_a_failure_again(capsys, monkeypatch):
    def broken(seed, **_):
        return Report(
            seed=seed,
            members=3,
            problem="Violated: something" if seed == 41 else "",
            counts=simulate.Counter(kill=2),
            operations=1,
            plan=plan_of(seed),
            error=ValueError("something"),
        )

    monkeypatch.setattr(simulate, "simulate", broken)
    assert simulate.main(["--seeds", "3", "--start", "40", "--processes", "1"]) == 1
    out, _ = capsys.readouterr()
    assert "Violated: something" in out
    assert "faults: kill 2" in out
    assert "python -m kvd.testing.simulate --seed 41 --members 3" in out
    assert simulate.main(["--seed", "41", "--members", "3"]) == 1
    assert simulate.main(["--seed", "40"]) == 0


def test_one_seed_can_be_looked_at(capsys):
    assert simulate.main(["--seed", "3", "--members", "1", "--trace"]) == 0
    out, _ = capsys.readouterr()
    assert "start 1" in out
    assert "seed 3: all held" in out


def test_several_processes_give_the_same_reports():
    seeds = range(50, 62)
    alone = {report.seed: report for report in run_seeds(seeds)}
    together = {report.seed: report for report in run_seeds(seeds, processes=2)}
    assert alone == together


def test_a_kind_of_fault_that_is_too_rare_is_named():
    tally = Tally()
    counts = simulate.Counter(dict.fromkeys(COUNTED, 1))
    for seed in range(100):
        if seed == 4:
            del counts["ring"]
        plan = plan_of(seed)
        tally.add(
            Report(
                seed=seed,
                members=3,
                problem="",
                counts=simulate.Counter(counts),
                operations=0,
                plan=plan,
            )
        )
    assert tally.rare() == ["ring"]
