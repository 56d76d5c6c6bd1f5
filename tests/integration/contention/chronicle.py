"""What really happened: the cluster's own history, to judge beliefs by."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence

import attrs

from kvd.testing.servers import Server
from tests.integration.contention.worker import END_SECONDS, Failed
from tests.integration.torture import Client


@attrs.frozen
class Happened:
    """An event."""

    index: int
    action: str
    key: str
    value: str | None
    created_index: int

    @property
    def removed(self) -> bool:
        return self.action in {"delete", "compareAndDelete", "expire"}


class Chronicle:
    """
    Everything that happens below a directory, read by long polls in a thread.

    :ivar events: what was read so far.
    :param servers: started, with an ``event-history`` that is long enough.
    """

    def __init__(self, servers: Sequence[Server], directory: str, seed: int) -> None:
        self._ports = [each.port for each in servers]
        self._chance = random.Random(f"{seed} chronicle")
        self._directory = directory
        self._next = 1 + max(each.etcd_index() for each in servers)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._problem = ""
        self._last = f"{directory}/that-is-all"
        self.events: list[Happened] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(END_SECONDS)

    def finish(self) -> list[Happened]:
        """All events up to now; a last one is made, which is known to be the last."""
        client = Client(self._ports, self._chance)
        deadline = time.monotonic() + END_SECONDS
        while not any(each.key == self._last for each in self.events):
            client.ask("PUT", f"/v2/keys{self._last}?prevExist=false", value="")
            if self._problem or time.monotonic() > deadline:
                raise Failed(f"the chronicle ends at {self._next}: {self._problem}")
            time.sleep(0.1)
        client.close()
        self.stop()
        return self.events[:-1]

    def _read(self) -> None:
        client = Client(self._ports, self._chance)
        path = f"/v2/keys{self._directory}?wait=true&recursive=true&waitIndex="
        while not self._over.is_set():
            answer = client.ask("GET", f"{path}{self._next}", seconds=2.0)
            if answer.status == 0 or answer.status >= 500:
                continue
            if answer.status != 200:
                self._problem = str(answer)
                break
            node = answer.node
            happened = Happened(
                index=node["modifiedIndex"],
                action=answer.body["action"],
                key=node["key"],
                value=node.get("value"),
                created_index=node["createdIndex"],
            )
            self._next = happened.index + 1
            self.events.append(happened)
        client.close()
