"""The worker's thread, without a reactor: a queue stands in for it."""

import threading
from queue import SimpleQueue

import pytest
from twisted.python.failure import Failure

from kvd.errors import StorageError
from kvd.storage.busyness import Busyness
from kvd.storage.worker import ThreadWorker


class Reactor:
    """Runs in the test's thread what it was called with."""

    def __init__(self):
        self.calls = SimpleQueue()
        self.triggers = []

    def callFromThread(self, call, *args):
        self.calls.put((call, args))

    def addSystemEventTrigger(self, phase, event, call):
        self.triggers.append((phase, event, call))

    def turn(self):
        call, args = self.calls.get(timeout=10)
        call(*args)

    def until(self, deferred):
        results = []
        deferred.addBoth(results.append)
        while not results:
            self.turn()
        if isinstance(results[0], Failure):
            results[0].raiseException()
        return results[0]


@pytest.fixture
def reactor():
    return Reactor()


@pytest.fixture
def worker(reactor):
    worker = ThreadWorker(reactor)
    yield worker
    reactor.until(worker.stop())


def test_jobs_run_in_order_on_one_other_thread(reactor, worker):
    seen, fired = [], []

    def job(number):
        seen.append((number, threading.get_ident()))
        return number

    results = [worker.call(lambda n=number: job(n)) for number in range(50)]
    for number, result in enumerate(results):
        result.addCallback(fired.append)
        assert not result.called or fired
        assert number == len(results[: number + 1]) - 1
    reactor.until(results[-1])
    assert [number for number, _ in seen] == list(range(50))
    assert fired == list(range(50))
    (thread,) = {ident for _, ident in seen}
    assert thread != threading.get_ident()


def test_nothing_fires_in_the_turn_that_asked(reactor, worker):
    done = threading.Event()
    result = worker.call(done.set)
    assert done.wait(10)
    assert not result.called
    reactor.until(result)


def test_a_failure_arrives_as_one_and_the_next_job_runs(reactor, worker):
    def fail():
        raise StorageError("no", path="/x", offset=3)

    with pytest.raises(StorageError, match="/x at offset 3: no"):
        reactor.until(worker.call(fail))

    def leave():
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        reactor.until(worker.call(leave))
    assert reactor.until(worker.call(lambda: 5)) == 5


def test_stopping_waits_for_what_was_asked_and_refuses_the_rest(reactor):
    worker = ThreadWorker(reactor)
    gate = threading.Event()
    slow = worker.call(lambda: gate.wait(10))
    (thread,) = [each for each in threading.enumerate() if each.name == "kvd-storage"]
    assert not thread.daemon
    stopping = worker.stop()
    again = worker.stop()
    late = worker.call(lambda: 1)
    assert not late.called
    gate.set()
    assert reactor.until(slow)
    with pytest.raises(StorageError, match="closed"):
        reactor.until(late)
    reactor.until(stopping)
    reactor.until(again)
    assert not thread.is_alive()
    reactor.until(worker.stop())


def test_a_worker_that_never_worked_has_no_thread(reactor):
    before = threading.active_count()
    worker = ThreadWorker(reactor)
    assert threading.active_count() == before
    reactor.until(worker.stop())
    assert reactor.triggers == []


def test_the_thread_ends_with_the_reactor(reactor):
    """A process whose service never stopped the worker ends all the same."""
    worker = ThreadWorker(reactor)
    reactor.until(worker.call(lambda: None))
    ((phase, event, call),) = reactor.triggers
    assert (phase, event) == ("after", "shutdown")
    call()
    reactor.turn()
    assert [each for each in threading.enumerate() if each.name == "kvd-storage"] == []


def test_a_result_nobody_waits_for_any_more_is_dropped(reactor, worker):
    gate = threading.Event()
    result = worker.call(lambda: gate.wait(10))
    result.addErrback(lambda _: None)
    result.cancel()
    gate.set()
    assert reactor.until(worker.call(lambda: 7)) == 7


def test_how_busy_a_worker_is_can_be_seen():
    now = [5.0]
    busyness = Busyness(lambda: now[0])
    assert (busyness.jobs, busyness.job_seconds) == (0, 0.0)
    busyness.given += 2

    def job():
        now[0] += 3.0
        return busyness.jobs, busyness.job_seconds

    assert busyness.during(job) == (2, 3.0)
    assert (busyness.jobs, busyness.job_seconds) == (1, 0.0)
    with pytest.raises(ZeroDivisionError):
        busyness.during(lambda: 1 // 0)
    assert (busyness.jobs, busyness.job_seconds) == (0, 0.0)
