"""Families of samples, as ``prometheus_client`` writes them; one registry a member."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import NamedTuple

from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString

from kvd.diagnostics.table import PROCESS, Described, Kind
from kvd.errors import invariant
from kvd.histogram import Histogram

_TOTAL = "_total"


class Sample(NamedTuple):
    """
    One value of a metric.

    :ivar labels: values, in the order of the table.
    """

    name: str
    value: float | Histogram
    labels: tuple[str, ...] = ()


class Exposition:
    """The page of one member; nothing of it is shared with others of the process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()

    def add(self, collector: Collector) -> None:
        """Ask this one, too."""
        self._registry.register(collector)

    def page(self) -> bytes:
        """Everything as it is now."""
        return generate_latest(self._registry)


def families(
    described: Iterable[Described], samples: Iterable[Sample]
) -> Iterator[Metric]:
    """
    Each metric that has a sample, in the order of the table.

    :raises InvariantViolated: a sample that the table does not describe.
    """
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        by_name.setdefault(sample.name, []).append(sample)
    for each in described:
        found = by_name.pop(each.name, None)
        if found:
            yield _family(each, found)
    invariant(not by_name, f"metrics that nobody has described: {by_name}")


class ProcessFigures(Collector):
    """Memory, processor and descriptors of the process, by Prometheus' and etcd's names."""

    def __init__(self) -> None:
        self._process = ProcessCollector(registry=None)

    def collect(self) -> Iterator[Metric]:
        """From ``/proc``; nothing where there is none."""
        found = {
            sample.name: sample.value
            for family in self._process.collect()
            for sample in family.samples
        }
        for name, same in (
            ("os_fd_used", "process_open_fds"),
            ("os_fd_limit", "process_max_fds"),
        ):
            if same in found:
                found[name] = found[same]
        yield from families(PROCESS, (Sample(*each) for each in found.items()))


def _family(described: Described, samples: Iterable[Sample]) -> Metric:
    name = described.name
    if described.kind is Kind.COUNTER:
        name = name.removesuffix(_TOTAL)  # the library puts it back
    family = Metric(name, f"{described.meaning}.", described.kind.value)
    for sample in samples:
        labels = dict(zip(described.labels, sample.labels, strict=True))
        if isinstance(sample.value, Histogram):
            _add_histogram(family, labels, sample.value)
        else:
            family.add_sample(described.name, labels, sample.value)
    return family


def _add_histogram(
    family: Metric, labels: dict[str, str], histogram: Histogram
) -> None:
    counts = tuple(accumulate(histogram.counts))
    for bound, count in zip((*histogram.bounds, float("inf")), counts, strict=True):
        name = floatToGoString(bound)  # type: ignore[no-untyped-call]  # the library's
        shown = labels | {"le": name}
        family.add_sample(f"{family.name}_bucket", shown, count)
    family.add_sample(f"{family.name}_sum", labels, histogram.total)
    family.add_sample(f"{family.name}_count", labels, counts[-1])
