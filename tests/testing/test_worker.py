"""The worker of a simulated member."""

from random import Random

import pytest

from kvd.errors import StorageError
from kvd.testing.clock import MachineClock, Process, SimulatedCrash, Timeline
from kvd.testing.disk import SimulatedDisk
from kvd.testing.worker import SimulatedWorker


class World:
    def __init__(self):
        self.crashes = 0
        self.timeline = Timeline()
        machine = MachineClock(self.timeline, epoch_ns=0)
        self.process = Process(self.timeline, machine, crashed=self.crash)
        self.disk = SimulatedDisk(Random(1))
        self.worker = SimulatedWorker(self.process, self.disk, Random(2))

    def crash(self):
        self.crashes += 1


@pytest.fixture
def world():
    return World()


def test_jobs_run_one_after_the_other_in_later_turns(world):
    said = []
    for number in range(3):
        world.worker.call(lambda number=number: number).addCallback(said.append)
    assert said == []
    world.timeline.run(1)
    assert said == [0, 1, 2]


def test_a_sync_makes_a_job_slow(world):
    world.disk.sync_seconds = 1.0
    said = []
    world.disk.make_folder("/d")
    world.worker.call(lambda: world.disk.sync_folder("/d")).addCallback(said.append)
    world.timeline.run(0.4)
    assert said == []
    world.timeline.run(1.6)
    assert said == [None]


def test_an_error_goes_to_the_one_who_asked(world):
    def job():
        raise StorageError("broken")

    said = []
    world.worker.call(job).addErrback(lambda failure: said.append(failure.value))
    world.timeline.run(1)
    assert isinstance(said[0], StorageError)


def test_a_crash_in_a_job_ends_the_machine_and_nothing_is_reported(world):
    def job():
        raise SimulatedCrash

    said = []
    world.worker.call(job).addBoth(said.append)
    world.timeline.run(1)
    assert said == []
    assert world.crashes == 1


def test_stop_waits_for_what_was_asked_before_and_refuses_the_rest(world):
    said = []
    world.worker.call(lambda: "job").addCallback(said.append)
    world.worker.stop().addCallback(lambda _: said.append("stopped"))
    refused = world.worker.call(lambda: "late")
    refused.addErrback(lambda failure: said.append(failure.type))
    world.timeline.run(1)
    assert said == [StorageError, "job", "stopped"]
    world.worker.stop().addCallback(lambda _: said.append("again"))
    assert said[-1] == "again"


def test_an_idle_worker_stops_too(world):
    said = []
    world.worker.stop().addCallback(said.append)
    assert said == []
    world.timeline.run(1)
    assert said == [None]
