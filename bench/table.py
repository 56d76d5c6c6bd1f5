"""Figures of paired rounds into one table of ratios, and what wrk prints into figures."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence

import attrs

RATE = re.compile(r"^Requests/sec:\s+([\d.]+)$", re.MULTILINE)
LATENCY = re.compile(r"^\s+99%\s+([\d.]+)(us|ms|s)$", re.MULTILINE)
REFUSED = re.compile(r"^\s+Non-2xx or 3xx responses: (\d+)$", re.MULTILINE)
BROKEN = re.compile(
    r"^\s+Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)$",
    re.MULTILINE,
)
MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


class BenchFailed(Exception):
    """A measurement that says nothing, for example because requests were refused."""


@attrs.frozen
class Load:
    """
    What one run of wrk measured.

    :ivar rate: answers a second.
    :ivar slowest_ms: the 99th percentile of the answers' times.
    """

    rate: float
    slowest_ms: float


def read_wrk(output: str) -> Load:
    """:raises BenchFailed: no figures, refused requests, or broken connections."""
    rate, latency = RATE.search(output), LATENCY.search(output)
    if rate is None or latency is None:
        raise BenchFailed(f"wrk printed no figures:\n{output}")
    refused, broken = REFUSED.search(output), BROKEN.search(output)
    if refused is not None or broken is not None:
        raise BenchFailed(f"not every request was answered well:\n{output}")
    return Load(float(rate[1]), float(latency[1]) * MILLISECONDS[latency[2]])


@attrs.frozen
class Figure:
    """
    One row: the same measurement of both, once a round.

    :ivar less_is_better: seconds and bytes, not rates.
    """

    name: str
    unit: str
    etcd: tuple[float, ...]
    kvd: tuple[float, ...]
    less_is_better: bool = False

    @property
    def ratios(self) -> list[float]:
        """kvd's divided by etcd's, round by round."""
        return [ours / theirs for ours, theirs in zip(self.kvd, self.etcd, strict=True)]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    def as_json(self) -> dict[str, object]:
        return {
            **attrs.asdict(self),
            "ratios": self.ratios,
            "ratio": self.ratio,
        }


HEADINGS = ("measured", "kvd/etcd", "spread", "ahead")


def table(figures: Sequence[Figure]) -> str:
    """Ratios for reading; ``ahead`` says whose figure is the better one."""
    rows = [HEADINGS, *(_row(figure) for figure in figures)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEADINGS))]
    lines = [
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def _row(figure: Figure) -> tuple[str, ...]:
    ratios = figure.ratios
    spread = f"{min(ratios):.2f} .. {max(ratios):.2f}"
    name = f"{figure.name} (less is better)" if figure.less_is_better else figure.name
    return name, f"{figure.ratio:.2f}", spread, _ahead(figure)


def _ahead(figure: Figure) -> str:
    """Nobody is ahead where the rounds disagree."""
    better = [(ratio < 1) == figure.less_is_better for ratio in figure.ratios]
    if all(better):
        return "kvd"
    return "-" if any(better) else "etcd"
