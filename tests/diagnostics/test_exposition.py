"""Samples to the text of Prometheus."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kvd.diagnostics.exposition import Exposition, ProcessFigures, Sample, families
from kvd.diagnostics.table import ETCD, OWN, PROCESS, Described, Kind
from kvd.errors import InvariantViolated
from kvd.histogram import Histogram

TABLE = (
    Described("a_total", Kind.COUNTER, "what a is", ("x", "y")),
    Described("b_total", Kind.GAUGE, "b"),
    Described("c_seconds", Kind.HISTOGRAM, "c", ("z",)),
    Described("d", Kind.GAUGE, "never told"),
)


class Collected:
    def __init__(self, *samples):
        self.samples = samples

    def collect(self):
        return families(TABLE, self.samples)


def page(*samples):
    exposition = Exposition()
    exposition.add(Collected(*samples))
    return exposition.page().decode()


def test_families_come_in_the_order_of_the_table_and_without_samples_not_at_all():
    assert page(
        Sample("b_total", True),
        Sample("a_total", 2, ('p"', "q\n")),
        Sample("a_total", 3, ("", "r")),
    ) == (
        "# HELP a_total what a is.\n"
        "# TYPE a_total counter\n"
        'a_total{x="p\\"",y="q\\n"} 2.0\n'
        'a_total{x="",y="r"} 3.0\n'
        "# HELP b_total b.\n"
        "# TYPE b_total gauge\n"
        "b_total 1.0\n"
    )


def test_a_histogram_is_told_in_sums_from_below():
    histogram = Histogram((0.0005, 1.0))
    for value in (0.0001, 0.5, 0.75, 3.0):
        histogram.observe(value)
    assert page(Sample("c_seconds", histogram, ("k",))) == (
        "# HELP c_seconds c.\n"
        "# TYPE c_seconds histogram\n"
        'c_seconds_bucket{le="0.0005",z="k"} 1.0\n'
        'c_seconds_bucket{le="1.0",z="k"} 3.0\n'
        'c_seconds_bucket{le="+Inf",z="k"} 4.0\n'
        'c_seconds_sum{z="k"} 4.2501\n'
        'c_seconds_count{z="k"} 4.0\n'
    )


def test_what_nobody_has_described_is_a_bug():
    with pytest.raises(InvariantViolated, match="nobody has described"):
        page(Sample("e", 1))
    with pytest.raises(ValueError, match="argument"):
        page(Sample("a_total", 1, ("x",)))


def test_two_members_of_one_process_share_nothing():
    one, other = Exposition(), Exposition()
    one.add(Collected(Sample("b_total", 1)))
    other.add(Collected(Sample("b_total", 2)))
    assert b"b_total 1.0" in one.page()
    assert b"b_total 2.0" in other.page()


def test_the_figures_of_the_process_have_etcds_names_too():
    exposition = Exposition()
    exposition.add(ProcessFigures())
    found = {
        family.name: family.samples[0].value
        for family in text_string_to_metric_families(exposition.page().decode())
    }
    assert set(found) == {each.name.removesuffix("_total") for each in PROCESS}
    assert found["os_fd_used"] == found["process_open_fds"] > 0
    assert found["os_fd_limit"] == found["process_max_fds"] > 0


def test_the_table_is_sound():
    every = (*ETCD, *OWN, *PROCESS)
    names = [each.name for each in every]
    assert len(set(names)) == len(names)
    for each in every:
        assert re.fullmatch("[a-z_]+", each.name)
        # The library would write another name than the table has.
        assert each.kind is not Kind.COUNTER or each.name.endswith("_total")
        assert not each.meaning.endswith(".")
    assert all(each.name.startswith("etcd_") for each in ETCD)
    assert all(each.name.startswith("kvd_") for each in OWN)
