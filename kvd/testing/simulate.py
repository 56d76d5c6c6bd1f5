"""
``python -m kvd.testing.simulate``: many seeds, on several processes.

Exit status 1 when a seed failed; its line says how to run it again.
"""

from __future__ import annotations

import argparse
import functools
import gc
import hashlib
import multiprocessing
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import attrs
from twisted.logger import globalLogBeginner

from kvd.testing.faults import NAMES
from kvd.testing.simulation import Report, plan_of, simulate

COUNTED = (
    *(name for name in NAMES if name not in {"reconfigure", "crash_soon", "stop"}),
    "stopped",
    "crash_at_write",
    "torn_write",
    "undone_folder_step",
    "stopped_by_disk",
    "message_dropped",
    "message_repeated",
    "message_reordered",
    "snapshot_made",
    "snapshot_streamed",
    "snapshot_restored",
    "transfer_done",
    "add_learner",
    "add_voter",
    "promote",
    "remove",
    "update",
    "left",
    "expired",
)
"""What must be reached in a share of all seeds."""

SHARE_MIN = 0.05
CHUNK = 10


@attrs.define
class Tally:
    """What many reports say together."""

    seeds: int = 0
    operations: int = 0
    reached: Counter[str] = attrs.Factory(Counter)
    happened: Counter[str] = attrs.Factory(Counter)
    failures: list[Report] = attrs.Factory(list)

    def add(self, report: Report) -> None:
        self.seeds += 1
        self.operations += report.operations
        for name, count in report.counts.items():
            if count:
                self.reached[name] += 1
                self.happened[name] += count
        if report.problem:
            self.failures.append(report)

    def rare(self) -> list[str]:
        """Kinds that too few seeds reached."""
        return [name for name in COUNTED if self.reached[name] < SHARE_MIN * self.seeds]

    def table(self) -> str:
        lines = [f"{'fault or event':<22}{'seeds':>8}{'share':>8}{'times':>9}"]
        lines += [
            f"{name:<22}{self.reached[name]:>8}"
            f"{self.reached[name] / max(1, self.seeds):>8.1%}{self.happened[name]:>9}"
            for name in sorted(self.reached)
        ]
        return "\n".join(lines)


def quiet() -> None:
    """Members' log lines would only cost time here."""
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False)


@functools.cache  # once in a process
def prepare() -> None:
    """Of a process that does nothing else: no log, and a lazy garbage collector."""
    quiet()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


def _run_one(job: tuple[int, int]) -> Report:
    seed, members = job
    report = simulate(seed, members=members)
    return attrs.evolve(report, error=None)  # a traceback does not travel


def run_seeds(
    seeds: Sequence[int], *, members: int = 0, processes: int = 1
) -> Iterator[Report]:
    """Reports in no particular order."""
    jobs = [(seed, members) for seed in seeds]
    if processes == 1:
        yield from map(_run_one, jobs)
        return
    context = multiprocessing.get_context("fork")
    with context.Pool(processes, initializer=prepare) as pool:
        yield from pool.imap_unordered(_run_one, jobs, chunksize=CHUNK)


def describe(report: Report) -> str:
    """A failed seed: what, with which faults, and how to see it again."""
    faults = ", ".join(
        f"{name} {count}" for name, count in sorted(report.counts.items()) if count
    )
    members = f" --members {report.members}"
    return (
        f"seed {report.seed} ({report.members} members): {report.problem}\n"
        f"  faults: {faults}\n"
        f"  again: python -m kvd.testing.simulate --seed {report.seed}{members}"
    )


def _progress(tally: Tally, total: int, began: float) -> None:
    seconds = time.monotonic() - began
    sys.stderr.write(
        f"\r{tally.seeds}/{total} seeds, {len(tally.failures)} failed, "
        f"{tally.seeds / max(seconds, 0.001):.1f} seeds/s "
    )
    sys.stderr.flush()


def _many(reports: Iterable[Report], total: int) -> Tally:
    tally = Tally()
    began = time.monotonic()
    for report in reports:
        tally.add(report)
        if report.problem:
            sys.stderr.write("\r")
            print(describe(report), flush=True)
        if tally.seeds % CHUNK == 0 or tally.seeds == total:
            _progress(tally, total, began)
    sys.stderr.write("\n")
    return tally


def _single(seed: int, members: int, *, with_trace: bool) -> int:
    trace: list[str] = []
    report = simulate(seed, members=members, trace=trace)
    if with_trace:
        print("\n".join(trace))
    print(plan_of(seed, members))
    print("trace", hashlib.sha256("\n".join(trace).encode()).hexdigest(), len(trace))
    if report.problem:
        print(describe(report))
        if report.error is not None:
            traceback.print_exception(report.error)
        return 1
    print(f"seed {seed}: all held, {report.operations} operations")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m kvd.testing.simulate",
        description="Whole members on simulated clock, network and disk.",
    )
    parser.add_argument("--seeds", type=int, default=100, metavar="N", help="how many")
    parser.add_argument("--start", type=int, default=0, metavar="S", help="the first")
    parser.add_argument("--seed", type=int, metavar="N", help="only this one")
    parser.add_argument("--processes", type=int, default=2, metavar="P")
    parser.add_argument(
        "--members", type=int, default=0, metavar="M", help="0: let the seed choose"
    )
    parser.add_argument(
        "--trace", action="store_true", help="with --seed: print everything"
    )
    options = parser.parse_args(arguments)
    if options.seed is not None:
        return _single(options.seed, options.members, with_trace=options.trace)
    seeds = range(options.start, options.start + options.seeds)
    tally = _many(
        run_seeds(seeds, members=options.members, processes=options.processes),
        len(seeds),
    )
    print(tally.table())
    print(
        f"{tally.seeds} seeds, {tally.operations} operations, "
        f"{len(tally.failures)} failed"
    )
    return 1 if tally.failures else 0


if __name__ == "__main__":
    prepare()
    sys.exit(main())
