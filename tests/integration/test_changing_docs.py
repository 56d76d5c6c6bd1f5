"""The steps of "Changing the members" in docs/clusters.rst, typed as they stand."""

from __future__ import annotations

import shutil
import signal

from tests.integration.growing import until
from tests.integration.reader import END_SECONDS, Chapter, needs_clients


def test_changing_the_members(reader):
    needs_clients()
    chapter = Chapter(reader, "docs/clusters.rst", "Changing the members")
    one, two, three = reader.three()
    chapter.type("member list")

    chapter.type("member add etcd-4")
    four = chapter.start("--name etcd-4")
    chapter.type("cluster-health")
    one.wait_said("voters=4 learners=0")

    chapter.type("member remove")
    reader.servers.remove(four)
    assert four.process.wait(END_SECONDS) == 1
    assert "this member stops for good" in four.said()
    chapter.type("rm -r etcd-4.kvd")

    reader.end_one(three, signal.SIGKILL)
    shutil.rmtree(reader.folder / "etcd-3.kvd")
    chapter.type("member remove")
    chapter.type("member add etcd-3")
    three = chapter.start("etcd-3.yml")
    # Once when the fourth left, and now that the new third votes.
    until(lambda: one.said().count("voters=3 learners=0") == 2, "its vote")

    chapter.type("member update")
    assert reader.end_one(two) == 0
    chapter.start("etcd-2.yml")
    chapter.type("member list")
    assert chapter.left == []
    assert reader.stop() == [0, 0, 0]
