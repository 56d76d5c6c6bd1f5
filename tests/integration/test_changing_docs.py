"""The steps of "Changing the members" in docs/operating.rst, typed as they stand."""

from __future__ import annotations

import shutil
import signal

import pytest

from tests.integration.growing import until
from tests.integration.reader import Reader, blocks, needs_clients

SECONDS = 30


class Typist(Reader):
    """Goes through the blocks of the chapter one after the other."""

    def __init__(self, folder):
        super().__init__(folder)
        # Only so that the test need not wait for elections.
        self.environment |= {
            "KVD_ELECTION_TIMEOUT": "500",
            "KVD_HEARTBEAT_INTERVAL": "50",
        }
        self.steps = [
            step
            for step in blocks("docs/operating.rst")
            if step[0].startswith("members_")
        ]

    def step(self, kind):
        found, pairs = self.steps.pop(0)
        assert found == f"members_{kind}"
        return pairs

    def start_step(self, kind):
        ((command, _),) = self.step(kind)
        running = self.start(command)
        self.wait_said("ready to serve", running)
        return running


@pytest.fixture
def typist(tmp_path):
    needs_clients()
    made = Typist(tmp_path)
    yield made
    made.kill()


def test_changing_the_members(typist):
    one, two, three = (
        typist.start(f".venv/bin/kvd --config conf/cluster/etcd-{number}.yml")
        for number in (1, 2, 3)
    )
    typist.wait_ready()
    typist.type(typist.step("list"))

    typist.type(typist.step("add"))
    four = typist.start_step("join")
    typist.type(typist.step("health"))
    typist.wait_said("voters=4 learners=0", one)

    typist.type(typist.step("remove"))
    typist.processes.remove(four)
    assert four[0].wait(SECONDS) == 1
    assert "this member stops for good" in four[1].read_text()
    typist.type(typist.step("wipe"))

    typist.end(three, signal.SIGKILL)
    shutil.rmtree(typist.folder / "etcd-3.kvd")
    typist.type(typist.step("lost"))
    typist.type(typist.step("successor"))
    three = typist.start_step("replace")
    # Once when the fourth left, and now that the new third votes.
    until(lambda: one[1].read_text().count("voters=3 learners=0") == 2, "its vote")

    typist.type(typist.step("update"))
    assert typist.end(two) == 0
    typist.start_step("moved")
    typist.type(typist.step("there"))
    assert typist.steps == []
    assert typist.stop() == [0, 0, 0]
