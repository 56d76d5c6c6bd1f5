"""The timeline, the machine's clock and the process on it."""

import pytest
from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from zope.interface.verify import verifyObject

from kvd.testing.clock import MachineClock, Process, SimulatedCrash, Timeline


@pytest.fixture
def timeline():
    return Timeline()


def process_on(timeline, rate=1.0, crashed=lambda: None, turned=lambda: None):
    machine = MachineClock(timeline, epoch_ns=10**18)
    machine.set_rate(rate)
    return Process(timeline, machine, crashed=crashed, turned=turned)


def test_calls_of_one_moment_run_in_the_order_they_were_asked_for(timeline):
    said = []
    for number in (3, 1, 2):
        timeline.after(1, said.append, number)
    timeline.after(0.5, said.append, 0)
    timeline.run(2)
    assert said == [0, 3, 1, 2]
    assert timeline.now == 2


def test_a_timer_is_cancelled_moved_and_delayed(timeline):
    said = []
    gone = timeline.after(1, said.append, "gone")
    moved = timeline.after(1, said.append, "moved")
    delayed = timeline.after(1, said.append, "delayed")
    gone.cancel()
    moved.reset(3)
    delayed.delay(1)
    assert verifyObject(IDelayedCall, moved)
    assert set(timeline.pending()) == {moved, delayed}
    timeline.run(2)
    assert said == ["delayed"]
    timeline.run(3)
    assert said == ["delayed", "moved"]
    with pytest.raises(AlreadyCalled):
        moved.cancel()
    with pytest.raises(AlreadyCancelled):
        gone.reset(1)


def test_run_while_stops_at_the_condition_or_the_end(timeline):
    said = []
    timeline.after(1, said.append, 1)
    timeline.after(2, said.append, 2)
    assert timeline.run_while(lambda: not said, until=5)
    assert timeline.now == 1
    assert not timeline.run_while(lambda: len(said) < 3, until=5)
    assert timeline.now == 5


def test_a_fast_clock_makes_a_looping_call_come_sooner(timeline):
    process = process_on(timeline, rate=2.0)
    assert verifyObject(IReactorTime, process)
    said = []
    loop = LoopingCall(lambda: said.append(timeline.now))
    loop.clock = process
    loop.start(1, now=False)
    timeline.run(3.2)
    assert said == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.5, 3.0], abs=1e-5)
    assert len(process.getDelayedCalls()) == 1


def test_a_monotonic_clock_keeps_its_reading_when_its_rate_changes(timeline):
    clock = MachineClock(timeline, epoch_ns=0)
    timeline.run(10)
    clock.set_rate(0.5)
    assert clock.seconds() == 10
    timeline.run(20)
    assert clock.seconds() == 15


def test_a_wall_clock_steps_and_the_monotonic_one_does_not(timeline):
    clock = MachineClock(timeline, epoch_ns=10**18)
    timeline.run(1)
    clock.step_wall(-120)
    assert clock.seconds() == 1
    assert clock.wall_time_ns() == 10**18 - 119 * 10**9


def test_a_paused_process_does_it_all_later_in_order(timeline):
    process = process_on(timeline)
    said = []
    process.pause()
    process.callLater(2, said.append, 2)
    process.callLater(1, said.append, 1)
    timeline.run(5)
    assert said == []
    process.resume()
    process.resume()
    timeline.run(6)
    assert said == [1, 2]


def test_a_timer_of_a_paused_process_can_still_be_cancelled_or_moved(timeline):
    process = process_on(timeline)
    said = []
    process.pause()
    gone = process.callLater(1, said.append, "gone")
    moved = process.callLater(1, said.append, "moved")
    timeline.run(2)
    assert gone.active()
    gone.cancel()
    moved.reset(5)
    process.run(said.append, "called")
    process.resume()
    timeline.run(3)
    assert said == ["called"]
    timeline.run(8)
    assert said == ["called", "moved"]


def test_a_process_that_has_ended_does_nothing_more(timeline):
    process = process_on(timeline)
    said = []
    process.callLater(1, said.append, 1)
    process.end()
    timeline.run(5)
    assert said == []


def test_a_crash_in_a_call_is_told_and_a_quiet_turn_too(timeline):
    said = []
    process = process_on(
        timeline,
        crashed=lambda: said.append("crashed"),
        turned=lambda: said.append("turned"),
    )

    def crash():
        raise SimulatedCrash

    process.callLater(1, list)
    process.callLater(2, crash)
    timeline.run(5)
    assert said == ["turned", "crashed"]
