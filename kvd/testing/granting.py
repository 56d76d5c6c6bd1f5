"""An operator of a simulated cluster who changes users, roles and the switch."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from twisted.python.failure import Failure

from kvd.errors import Unavailable
from kvd.testing.watching import HOP_SECONDS
from kvd.v2.accounts import GUEST, PutRole, PutUser
from kvd.v2.authcodec import (
    AuthRequest,
    Change,
    RemoveRole,
    RemoveUser,
    Switch,
    encode_auth_request,
)
from kvd.v2.commands import Asker, Command, Op, encode_command
from kvd.v2.permissions import Permissions

if TYPE_CHECKING:
    from kvd.testing.cluster import SimulatedCluster
    from kvd.testing.member import Run

THINK_SECONDS = 0.15
_NAMES = ("ann", "bob")
_FOLDER = "/granted"


class GrantingClient:
    """
    Asks random members for random changes, and writes in the name of users.

    Nobody waits for the answers: what is judged is that all members come to the same.
    The guest role stays as it is, so the other clients notice nothing.
    """

    def __init__(self, cluster: SimulatedCluster, random: Random) -> None:
        self._cluster = cluster
        self._random = random
        self._count = 0
        self.stopped = False

    def start(self) -> None:
        self._think()

    def stop(self) -> None:
        self.stopped = True

    def _think(self) -> None:
        seconds = self._random.expovariate(1 / THINK_SECONDS)
        self._cluster.timeline.after(seconds, self._next)

    def _next(self) -> None:
        if self.stopped:
            return
        runs = self._cluster.serving()
        if runs:
            run = self._random.choice(runs)
            run.process.after(HOP_SECONDS, self._ask, run)
        self._think()

    def _ask(self, run: Run) -> None:
        random = self._random
        self._count += 1
        by = Asker("root", run.auth.index)
        name = random.choice(_NAMES)
        if random.random() < 0.3:
            asker = Asker(name, max(0, run.auth.index - random.randrange(2)))
            path = f"{_FOLDER}/{random.choice(_NAMES)}"
            command = Command(Op.SET, path, value=f"granted {self._count}", by=asker)
            machine, body = "v2", encode_command(command)
        else:
            request = AuthRequest(by, self._change(name))
            machine, body = "auth", encode_auth_request(request)
        run.node.propose(machine, body).addErrback(self._nobody_waits)

    def _change(self, name: str) -> Change:
        random = self._random
        patterns = Permissions((f"{_FOLDER}/*",), (f"{_FOLDER}/{name}",))
        changes: tuple[Change, ...] = (
            PutUser("root", f"hash {self._count}"),
            PutUser(name, f"hash {self._count}"),
            PutUser(name, grant=(random.choice(_NAMES),)),
            PutUser(name, revoke=(random.choice(_NAMES),)),
            RemoveUser(name),
            PutRole(name, patterns),
            PutRole(name, grant=patterns),
            PutRole(name, revoke=patterns),
            RemoveRole(name),
            PutRole(GUEST, grant=patterns),
            Switch(True),
            Switch(random.random() < 0.5),
        )
        return random.choice(changes)

    def _nobody_waits(self, failure: Failure) -> None:
        if not isinstance(failure.value, Unavailable):
            self._cluster.failed_elsewhere(failure.value)
