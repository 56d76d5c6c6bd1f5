"""Threads that are left to themselves; they are what this is about, so there are some."""

from __future__ import annotations

import threading

import pytest

from kvd.kvctl.daemons import Daemons

SECONDS = 30


def test_jobs_come_back_in_order_with_what_they_raise():
    executor = Daemons(2)
    assert list(executor.map(str, range(5))) == ["0", "1", "2", "3", "4"]
    with pytest.raises(ZeroDivisionError):
        executor.submit(lambda: 1 // 0).result(SECONDS)
    executor.shutdown()


def test_there_are_no_more_threads_than_allowed_and_they_end():
    executor = Daemons(2)
    started, go_on = threading.Semaphore(0), threading.Event()
    ran_by = set()

    def job(_):
        ran_by.add(threading.current_thread())
        started.release()
        go_on.wait(SECONDS)

    waiting = [executor.submit(job, number) for number in range(6)]
    for _ in range(2):
        assert started.acquire(timeout=SECONDS)
    assert not started.acquire(blocking=False)
    go_on.set()
    for each in waiting:
        each.result(SECONDS)
    assert len(ran_by) == 2
    executor.shutdown()
    for thread in ran_by:
        assert thread.daemon
        thread.join(SECONDS)
        assert not thread.is_alive()


def test_nobody_waits_for_a_job_that_does_not_end():
    executor = Daemons(1)
    started, go_on = threading.Event(), threading.Event()
    stuck = executor.submit(lambda: started.set() or go_on.wait(SECONDS))
    never = executor.submit(str)
    assert started.wait(SECONDS)
    executor.shutdown(wait=True, cancel_futures=True)
    assert not stuck.done()
    go_on.set()
    assert stuck.result(SECONDS) is True
    assert not never.done()


def test_a_job_that_was_cancelled_is_not_done():
    executor = Daemons(1)
    go_on = threading.Event()
    executor.submit(go_on.wait, SECONDS)
    cancelled = executor.submit(str)
    assert cancelled.cancel()
    last = executor.submit(str, 1)
    go_on.set()
    assert last.result(SECONDS) == "1"
    executor.shutdown()
