"""
Contending processes on a cluster; both of them are killed and frozen, and answers lost.

A seed chooses what is done to whom; what the processes make of it is the machine's.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from kvd.testing.servers import Server
from tests.integration.contention.program import CALM
from tests.integration.contention.record import Record
from tests.integration.contention.worker import Failed, Worker

BEGIN_SECONDS = 60.0
SETTLE_SECONDS = 180.0
LOST_SHARE = 0.03
"""Of all answers to writes: what was done is done, and nobody is told."""
FAULTS = (
    "kill the leader",
    "kill a follower",
    "freeze the leader",
    "freeze a follower",
    "kill a worker",
    "freeze a worker",
    "freeze a holder",
    "freeze a holder",
)


class Storm:
    """
    One run.

    :param servers: a started cluster.
    :param folder: of this run's notes and logs.
    :param root: the directory below which all keys are.
    :param roles: ``module:function``; every process plays all of them.
    :param seconds: how long harm is done, and until there was every kind of it; 0: none
        at all.
    :param frozen_seconds: how long a worker is frozen at most: much longer than a
        ``ttl``.
    """

    def __init__(
        self,
        servers: Sequence[Server],
        folder: Path,
        *,
        seed: int,
        root: str,
        roles: Sequence[str],
        workers: int,
        seconds: float,
        frozen_seconds: float = 4.5,
    ) -> None:
        self._servers = list(servers)
        self._folder = folder
        self._chance = random.Random(seed)
        self._seconds = seconds
        self._frozen_seconds = frozen_seconds
        self.faults: list[str] = []
        urls = [each.url for each in servers]
        names = [f"w{number}" for number in range(workers)]
        self._workers = [
            Worker(
                name,
                {
                    "folder": str(folder),
                    "roles": list(roles),
                    "seed": seed,
                    "lost_share": LOST_SHARE if seconds else 0,
                    "peers": names,
                    "root": root,
                    "urls": urls[number % len(urls) :] + urls[: number % len(urls)],
                },
            )
            for number, name in enumerate(names)
        ]

    def run(
        self, enough: Callable[[Record], bool], at_rest: Callable[[Record], bool]
    ) -> Record:
        """
        Do harm, let them go on without, let them come to rest, end them.

        :param enough: whether so much was done that it can be judged.
        :param at_rest: whether all is done that was begun; nothing new is, any more.
        :return: what they noted.
        :raises Failed: it does not come to that.
        """
        self._folder.mkdir(parents=True)
        try:
            for worker in self._workers:
                worker.start()
            self._await(BEGIN_SECONDS, self._all_began)
            self._disturb()
            self._await(SETTLE_SECONDS, enough)
            (self._folder / CALM).touch()
            self._await(SETTLE_SECONDS, at_rest)
            for worker in self._workers:
                worker.end()
            for worker in self._workers:
                worker.wait()
        finally:
            for worker in self._workers:
                worker.sweep()
        return self._record()

    def _record(self) -> Record:
        killed: dict[str, float] = {}
        for worker in self._workers:
            killed |= worker.killed
        return Record.read(self._folder, killed)

    def _await(self, seconds: float, come: Callable[[Record], bool]) -> None:
        deadline = time.monotonic() + seconds
        while not come(record := self._record()):
            if broken := record.broken():
                raise Failed("\n".join(broken))
            if time.monotonic() > deadline:
                raise Failed(f"not in {seconds} s; {self._last_words(record)}")
            time.sleep(0.2)

    def _all_began(self, record: Record) -> bool:
        began = {note.who for note in record.of("begun")}
        return all(worker.who in began for worker in self._workers)

    @staticmethod
    def _last_words(record: Record) -> str:
        return "\n".join(str(note) for note in record.notes[-30:])

    # -- what is done to them ------------------------------------------------------

    def _disturb(self) -> None:
        """Every kind of fault in some order, and then whatever comes."""
        end = time.monotonic() + self._seconds
        waiting: list[str] = []
        while time.monotonic() < end or (self._seconds and self._spared):
            if not waiting:
                waiting = self._chance.sample(FAULTS, len(FAULTS))
            self._pause(0.2, 0.8)
            fault = waiting.pop()
            self.faults.append(fault)
            how, _, whom = fault.partition(" ")
            if whom == "a worker":
                self._harm_worker(how)
            elif whom == "a holder":
                self._freeze_holder()
            else:
                self._harm_member(how, leads=whom == "the leader")
        while any(worker.thaw_at for worker in self._workers):
            self._pause(0.1, 0.1)
        for server in self._servers:
            server.wait_ready()

    @property
    def _spared(self) -> set[str]:
        """Faults that nobody has suffered yet."""
        return set(FAULTS) - set(self.faults)

    def _harm_worker(self, how: str) -> None:
        """A frozen one stays so while other harm is done."""
        able = [worker for worker in self._workers if worker.thaw_at is None]
        if not able:
            return
        worker = self._chance.choice(able)
        if how == "kill":
            worker.kill()
            worker.start()
        else:
            worker.freeze(self._chance.uniform(0.5, self._frozen_seconds))

    def _freeze_holder(self) -> None:
        """One who holds something, until it is lost; he must notice."""
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            holders = self._record().holders()
            found = [each for each in self._workers if each.who in holders]
            found = [each for each in found if each.thaw_at is None]
            if found:
                least = 0.75 * self._frozen_seconds
                seconds = self._chance.uniform(least, self._frozen_seconds)
                self._chance.choice(found).freeze(seconds)
                return
            self._pause(0.02, 0.02)
        self._harm_worker("freeze")

    def _harm_member(self, how: str, *, leads: bool) -> None:
        names = [each.leader_name() for each in self._servers]
        fitting = [each for each in self._servers if (each.name in names) == leads]
        server = self._chance.choice(fitting or self._servers)
        if how == "kill":
            server.kill()
            self._pause(0.0, 1.5)
            server.start()
            server.wait_ready()
        else:
            os.kill(server.pid, signal.SIGSTOP)
            try:
                self._pause(0.3, 2.5)
            finally:
                os.kill(server.pid, signal.SIGCONT)

    def _pause(self, least_seconds: float, most_seconds: float) -> None:
        """And wake up those whose time has come."""
        end = time.monotonic() + self._chance.uniform(least_seconds, most_seconds)
        while (now := time.monotonic()) < end:
            for worker in self._workers:
                if worker.thaw_at is not None and worker.thaw_at <= now:
                    worker.thaw()
            time.sleep(0.02)
