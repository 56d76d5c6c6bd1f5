"""The collector's pauses, measured by its own calls."""

import gc

from kvd.pauses import GcPauses


def test_each_collection_is_measured_by_generation():
    now = iter((1.0, 1.25, 2.0, 2.5))
    pauses = GcPauses(lambda: next(now))
    for generation in (2, 0):
        pauses._told("start", {"generation": generation})
        pauses._told("stop", {"generation": generation})
    assert [each.total for each in pauses.seconds] == [0.5, 0.0, 0.25]


def test_the_collector_is_asked_from_begin_to_end():
    pauses = GcPauses()
    before = list(gc.callbacks)
    pauses.begin()
    try:
        gc.collect(1)
        assert sum(pauses.seconds[1].counts) == 1
    finally:
        pauses.end()
    pauses.end()
    assert gc.callbacks == before
    gc.collect(1)
    assert sum(pauses.seconds[1].counts) == 1
