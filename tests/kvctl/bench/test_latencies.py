"""Percentiles out of little room."""

from __future__ import annotations

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvd.kvctl.bench.latencies import Latencies

TIMES = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=200)


def measured(times):
    latencies = Latencies()
    for each in times:
        latencies.add(each)
    return latencies


@given(TIMES, st.floats(0.1, 100))
def test_a_percentile_is_exact_to_a_hundredth(times, percent):
    exact = sorted(times)[math.ceil(len(times) * percent / 100) - 1]
    assert exact * 0.999999 <= measured(times).percentile_seconds(percent)
    assert measured(times).percentile_seconds(percent) <= exact * 1.0101


def test_the_whole_is_known_exactly():
    latencies = measured([0.001, 0.003])
    assert latencies.count == 2
    assert latencies.average_seconds == pytest.approx(0.002)
    assert latencies.longest_seconds == 0.003
    assert latencies.percentile_seconds(100) == 0.003


def test_nothing_measured_is_nothing():
    latencies = Latencies()
    assert latencies.average_seconds == 0
    assert latencies.percentile_seconds(99) == 0


def test_a_clock_that_stands_still_is_a_short_time():
    assert measured([0.0]).percentile_seconds(50) == 0.0


def test_any_number_of_times_takes_little_room():
    latencies = measured(1e-6 * 1.0001**each for each in range(200_000))
    assert sys.getsizeof(latencies._counts) < 200_000
    assert len(latencies._counts) < 2_100
