"""What a member says of its process."""

import gc
import resource
import sys

from kvd.diagnostics.host import Host, _resident_bytes
from kvd.histogram import Histogram
from kvd.storage.busyness import Busyness


def host(busyness=None, **others):
    return Host(
        metrics=bytes,
        log_from=lambda level: True,
        busyness=busyness or Busyness(lambda: 0.0),
        stuck_seconds=7.0,
        **others,
    )


def test_a_disk_is_stuck_when_one_job_takes_too_long():
    now = [0.0]
    busyness = Busyness(lambda: now[0])
    told = host(busyness)
    said = []

    def job():
        for moment in (7.0, 7.1):
            now[0] = moment
            said.append(told.disk_problem())

    busyness.during(job)
    assert said == ["", "the disk has been at work on one job for 7 s"]
    assert told.disk_problem() == ""


def test_what_python_can_say_of_its_memory():
    memory = host().memory()
    assert memory["Sys"] > 1 << 20
    assert memory["HeapObjects"] > 1000
    assert memory["NumGC"] > 0
    assert memory["EnableGC"] is gc.isenabled()
    assert "PauseTotalNs" not in memory
    pauses = Histogram((1.0,)), Histogram((1.0,))
    for histogram in pauses:
        histogram.observe(0.25)
    assert host(pauses=pauses).memory()["PauseTotalNs"] == 500_000_000


def test_where_there_is_no_proc_the_peak_stands_in(monkeypatch):
    def missing(*_args, **_options):
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", missing)
    assert _resident_bytes() > 1 << 20


def test_the_command_line_and_the_descriptors_are_the_processs():
    assert tuple(host().command_line) == tuple(sys.argv)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert host().descriptors_max() == soft
