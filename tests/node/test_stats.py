"""What is counted of the raft traffic."""

from kvd.node.stats import Latency, RaftTraffic, Rate
from kvd.raft.messages import AppendEntries, AppendResponse, Entry, EntryKind


def append(to: int, *indexes: int) -> AppendEntries:
    entries = tuple(Entry(i, 1, EntryKind.NORMAL, b"12345") for i in indexes)
    return AppendEntries(to, 1, 1, 0, 0, entries, 0)


def answer(sender: int, index: int, *, rejected: bool = False) -> AppendResponse:
    return AppendResponse(1, sender, 1, index, rejected, 0, 0)


def test_rates_are_over_the_window_and_go_stale_after_a_second():
    rate = Rate()
    assert rate.rates(now=0.0) == (0.0, 0.0)
    for n in range(300):
        rate.add(now=n / 100, size=10)
    assert rate.count == 300
    messages, size = rate.rates(now=3.0)
    assert 99 < messages < 101
    assert size == messages * 10
    assert rate.rates(now=4.1) == (0.0, 0.0)


def test_one_append_in_no_time_has_no_rate():
    rate = Rate()
    rate.add(now=1.0, size=10)
    assert rate.rates(now=1.0) == (0.0, 0.0)


def test_latency_keeps_mean_deviation_and_extremes():
    latency = Latency()
    assert (latency.average, latency.standard_deviation) == (0.0, 0.0)
    for milliseconds in (2.0, 4.0):
        latency.succeeded(milliseconds)
    assert latency.current == 4.0
    assert (latency.minimum, latency.maximum) == (2.0, 4.0)
    assert latency.average == 3.0
    assert latency.standard_deviation == 1.0


def test_latency_is_from_sending_to_the_answer_that_covers_it():
    traffic = RaftTraffic()
    traffic.sent([append(2, 5, 6)], now=1.0)
    traffic.sent([append(2, 7)], now=1.1)
    traffic.received(answer(2, 5), now=1.2)
    assert traffic.followers == {}
    traffic.received(answer(2, 6), now=1.5)
    assert traffic.followers[2].current == 500.0
    assert traffic.sent_appends.count == 2


def test_a_rejection_and_a_loss_measure_nothing():
    traffic = RaftTraffic()
    traffic.sent([append(2, 5)], now=1.0)
    traffic.received(answer(2, 5, rejected=True), now=2.0)
    traffic.sent([append(2, 5)], now=3.0)
    traffic.failed(2)
    traffic.received(answer(2, 5), now=4.0)
    assert traffic.followers[2].success == 0
    assert traffic.followers[2].fail == 1


def test_received_appends_are_counted_and_gone_members_forgotten():
    traffic = RaftTraffic()
    traffic.received(append(1, 1, 2), now=0.0)
    assert traffic.received_appends.count == 1
    traffic.failed(2)
    traffic.keep_only(frozenset({3}))
    assert traffic.followers == {}
