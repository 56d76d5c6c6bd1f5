"""Many records: in which order, how many at a time, and how far."""

from __future__ import annotations

from concurrent.futures import Executor, Future

import pytest

from kvd.kvctl.transfer.importing import NOTES_MAX, Importing, Stopped
from kvd.kvctl.transfer.putting import Outcome, Refused
from kvd.kvctl.transfer.reading import Numbered
from kvd.kvctl.transfer.records import Record


class AtOnce(Executor):
    """Runs a job when it is handed over."""

    def submit(self, job, /, *arguments):
        future = Future()
        try:
            future.set_result(job(*arguments))
        except BaseException as error:
            future.set_exception(error)
        return future


class Late(Executor):
    """Runs all jobs so far when somebody wants the outcome of one."""

    def __init__(self):
        self.waiting = []
        self.most = 0

    def submit(self, job, /, *arguments):
        future = _Wanted(self)
        self.waiting.append((future, job, arguments))
        self.most = max(self.most, len(self.waiting))
        return future

    def run(self):
        for future, job, arguments in self.waiting:
            if future.set_running_or_notify_cancel():
                future.set_result(job(*arguments))
        self.waiting.clear()


class _Wanted(Future):
    def __init__(self, executor):
        super().__init__()
        self._executor = executor

    def result(self, timeout=None):
        self._executor.run()
        return super().result(timeout)


def numbered(*records):
    return [Numbered(number, each) for number, each in enumerate(records, start=2)]


def keys(count):
    return numbered(*(Record(key=f"/{each}", value=b"") for each in range(count)))


class Puts:
    """Puts what the test says, into another place."""

    def __init__(self, put):
        self.put = put

    def key_of(self, record):
        return f"/new{record.key}"


def importing(put, executor=None, *, jobs=2, stop=True, done=lambda _: None):
    return Importing(
        Puts(put), executor or AtOnce(), jobs=jobs, stop_at_conflict=stop, done=done
    )


def test_every_outcome_is_counted_and_told_step_by_step():
    outcomes = [Outcome.CREATED, Outcome.UNCHANGED, Outcome.CREATED]
    steps = []
    running = importing(
        lambda record: outcomes[int(record.key[1:])],
        done=lambda progress: steps.append((progress.line, progress.done)),
    )
    running.run(keys(3))
    assert running.progress.counts == {Outcome.CREATED: 2, Outcome.UNCHANGED: 1}
    assert steps == [(2, 1), (3, 2), (4, 3)]


def test_no_more_records_are_handed_over_than_agreed():
    executor = Late()
    running = importing(lambda _: Outcome.CREATED, executor, jobs=3)
    running.run(keys(100))
    assert running.progress.done == 100
    assert executor.most == 3 * 4 + 1


def test_a_directory_that_expires_is_there_before_what_it_holds():
    executor = Late()
    order = []

    def put(record):
        order.append((record.key, len(executor.waiting)))
        return Outcome.CREATED

    importing(put, executor, jobs=50).run(
        numbered(
            Record(key="/a", value=b""),
            Record(key="/d", ttl=5),
            Record(key="/d/x", value=b""),
            Record(key="/e"),
        )
    )
    assert order == [("/a", 2), ("/d", 2), ("/d/x", 2), ("/e", 2)]


def test_a_conflict_ends_it_and_says_how_far_it_came():
    def put(record):
        return Outcome.CONFLICT if record.key == "/5" else Outcome.CREATED

    running = importing(put)
    with pytest.raises(Stopped, match="line 7: /new/5 is there with something else"):
        running.run(keys(30))
    assert running.progress.line == 6
    # What was handed over before the outcome was known is done, and counted.
    assert running.progress.counts[Outcome.CREATED] > 5
    assert running.progress.counts[Outcome.CONFLICT] == 1


def test_with_another_policy_a_conflict_is_noted_and_the_rest_goes_on():
    running = importing(lambda _: Outcome.CONFLICT, stop=False)
    running.run(keys(NOTES_MAX + 5))
    assert running.progress.counts == {Outcome.CONFLICT: NOTES_MAX + 5}
    assert len(running.progress.notes) == NOTES_MAX
    assert running.progress.notes[0] == "line 2: /new/0: in conflict"


def test_a_refusal_ends_it_with_the_line():
    def put(record):
        if record.key == "/3":
            raise Refused("/3: 110: no")
        return Outcome.CREATED

    running = importing(put)
    with pytest.raises(Stopped, match="line 5: /3: 110: no"):
        running.run(keys(30))
    assert running.progress.line == 4


def test_an_interruption_waits_for_what_was_begun():
    executor = Late()

    def interrupted():
        yield from keys(5)
        raise KeyboardInterrupt

    running = importing(lambda _: Outcome.CREATED, executor, jobs=50)
    with pytest.raises(KeyboardInterrupt):
        running.run(interrupted())
    # Nothing had begun yet, so nothing is done and nothing is lost.
    assert running.progress.line == 1
    assert all(future.cancelled() for future, _, _ in executor.waiting)


def test_an_error_of_the_program_is_not_hidden():
    def put(record):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        importing(put).run(keys(1))
