"""A member's machines without a member: entries in, outcomes out."""

from __future__ import annotations

import pytest

from kvd.apply.applier import Applier, Outcome
from kvd.apply.request import Request, RequestId, encode_request
from kvd.cluster.ids import member_id_of
from kvd.cluster.machine import (
    ClusterMachine,
    encode_publish,
    encode_record,
    encode_version,
)
from kvd.cluster.members import MemberRecord
from kvd.raft.messages import ChangeKind, ConfigChange, Entry, EntryKind
from kvd.state import at_once
from kvd.v2.auth import Auth
from kvd.v2.authcodec import AuthRequest, Change, encode_auth_request
from kvd.v2.commands import Asker, Command, Op, encode_command
from kvd.v2.machine import V2

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND
GUEST = Asker()


class Machines:
    """An applier with v2 and cluster; ``log`` is what it was given."""

    def __init__(self, make=Applier) -> None:
        self.make = make
        self.auth = Auth()
        self.v2 = V2(auth=self.auth)
        self.cluster = ClusterMachine()
        self.applier = make([self.auth, self.v2], self.cluster)
        self.log: list[tuple[Entry, ConfigChange | None]] = []

    def request(self, machine: str, body: bytes, *, now: int = NOW) -> Outcome:
        index = self.applier.applied_index + 1
        request = Request(machine, RequestId(1, index), now, body)
        return self.give(Entry(index, 1, EntryKind.NORMAL, encode_request(request)))

    def change(self, change: ConfigChange) -> Outcome:
        index = self.applier.applied_index + 1
        return self.give(Entry(index, 1, EntryKind.CHANGE, b""), change)

    def give(self, entry: Entry, change: ConfigChange | None = None) -> Outcome:
        if change is not None:
            outcome = self.applier.apply_change(entry, change)
        else:
            outcome = self.applier.apply(entry)
        self.log.append((entry, change))
        self.applier.publish()
        return outcome

    def set(self, path: str, value: str = "", **fields: object) -> Outcome:
        return self.request(
            "v2", encode_command(Command(Op.SET, path, value, **fields))
        )

    def authorise(self, change: Change, *, by: Asker = GUEST) -> Outcome:
        return self.request("auth", encode_auth_request(AuthRequest(by, change)))

    def bootstrap(self, members: int = 1) -> None:
        for n in range(members):
            record = self.record(n)
            context = encode_record(record)
            self.change(ConfigChange(ChangeKind.ADD_VOTER, record.member_id, context))
        for n in range(members):
            record = self.record(n)
            urls = (f"http://h{n}:2379",)
            self.request("cluster", encode_publish(record.member_id, f"m{n}", urls))
        self.request("cluster", encode_version("3.4.0"))

    @staticmethod
    def record(n: int, **fields: object) -> MemberRecord:
        url = f"http://h{n}:2380"
        return MemberRecord(member_id_of([url], "token"), "", (url,), (), **fields)

    def restarted(self) -> Machines:
        other = Machines(self.make)
        at_once(other.applier.restoring(list(self.applier.snapshot())))
        return other

    def digest(self) -> tuple[object, ...]:
        cluster = self.cluster
        return (
            self.applier.applied_index,
            self.v2.digest(),
            self.auth.digest(),
            cluster.members(),
            cluster.removed,
            cluster.version,
        )


@pytest.fixture
def machines() -> Machines:
    return Machines()


@pytest.fixture
def make_machines() -> type[Machines]:
    return Machines
