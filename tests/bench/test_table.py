"""What wrk prints, and the table of ratios; nothing is measured here."""

from __future__ import annotations

import pytest
from table import BenchFailed, Figure, read_wrk, table

WRK = """\
Running 1s test @ http://127.0.0.1:40000
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     7.12ms    2.31ms  40.20ms   88.11%
    Req/Sec     9.02k     1.01k   10.52k    70.00%
  Latency Distribution
     50%    6.62ms
     75%    7.55ms
     90%    9.10ms
     99%   {slowest}
  9021 requests in 1.01s, 2.78MB read
{more}Requests/sec:   8931.48
Transfer/sec:      2.75MB
"""


@pytest.mark.parametrize(
    ("slowest", "milliseconds"),
    [("17.52ms", 17.52), ("830.00us", 0.83), ("1.20s", 1200.0)],
)
def test_rate_and_99th_percentile_are_read(slowest, milliseconds) -> None:
    load = read_wrk(WRK.format(slowest=slowest, more=""))
    assert (load.rate, load.slowest_ms) == (8931.48, pytest.approx(milliseconds))


@pytest.mark.parametrize(
    "more",
    [
        "  Non-2xx or 3xx responses: 12\n",
        "  Socket errors: connect 0, read 3, write 0, timeout 0\n",
        "  Socket errors: connect 0, read 0, write 0, timeout 9\n",
    ],
)
def test_a_run_with_refusals_or_broken_connections_counts_for_nothing(more) -> None:
    with pytest.raises(BenchFailed, match="not every request"):
        read_wrk(WRK.format(slowest="1.00ms", more=more))


def test_a_run_without_figures_counts_for_nothing() -> None:
    with pytest.raises(BenchFailed, match="no figures"):
        read_wrk("unable to connect to 127.0.0.1:1 Connection refused\n")


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    figure = Figure("PUT", "requests/s", (100.0, 200.0, 100.0), (90.0, 100.0, 120.0))
    assert figure.ratios == [0.9, 0.5, 1.2]
    assert figure.ratio == 0.9
    assert figure.as_json()["ratio"] == 0.9
    assert figure.as_json()["etcd"] == (100.0, 200.0, 100.0)


@pytest.mark.parametrize(
    ("etcd", "kvd", "less_is_better", "ahead"),
    [
        ((10.0, 10.0), (11.0, 12.0), False, "kvd"),
        ((10.0, 10.0), (9.0, 8.0), False, "etcd"),
        ((10.0, 10.0), (9.0, 12.0), False, "-"),
        ((10.0, 10.0), (9.0, 8.0), True, "kvd"),
        ((10.0, 10.0), (11.0, 12.0), True, "etcd"),
        ((10.0, 10.0), (9.0, 12.0), True, "-"),
    ],
)
def test_ahead_is_who_is_better_in_every_round(
    etcd, kvd, less_is_better, ahead
) -> None:
    text = table([Figure("x", "s", etcd, kvd, less_is_better)])
    assert text.splitlines()[-1].split()[-1] == ahead


def test_the_table_has_ratios_and_spreads_and_no_absolute_figures() -> None:
    text = table(
        [
            Figure(
                "PUT, 64 connections", "requests/s", (1000.0, 2000.0), (500.0, 1500.0)
            ),
            Figure("restart", "s", (1.0, 1.0), (3.0, 3.0), less_is_better=True),
        ]
    )
    assert text.splitlines() == [
        "measured                  kvd/etcd        spread  ahead",
        "------------------------  --------  ------------  -----",
        "PUT, 64 connections           0.62  0.50 .. 0.75   etcd",
        "restart (less is better)      3.00  3.00 .. 3.00   etcd",
    ]
