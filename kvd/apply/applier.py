"""Committed entries, in order, to the state machines they are for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from kvd.apply.machine import Bookkeeper, Restoring, StateMachine
from kvd.apply.request import RequestId, decode_request
from kvd.apply.sections import SectionReader, encode_sections
from kvd.cluster.machine import ClusterMachine
from kvd.errors import InvariantViolated, RequestError, StorageError, invariant
from kvd.raft.messages import ConfigChange, Entry, EntryKind

_UNKNOWN_MACHINE = 300


class Outcome(NamedTuple):
    """
    What an entry came to.

    :ivar request: whose request it was; None for no-ops, changes and garbage.
    :ivar value: what the machine said; a refusal is a value, too.
    """

    request: RequestId | None
    value: object


class Applier:
    """
    Applies each position of the log once, in order, on every member alike.

    Whatever it raises means that this member's state can no longer be trusted: the
    driver stops the member.

    :ivar applied_index: the last position that is part of the machines' state.
    """

    def __init__(
        self, machines: Sequence[StateMachine], cluster: ClusterMachine
    ) -> None:
        """:param machines: in the order of their sections; with or without cluster."""
        self.applied_index = 0
        self._cluster = cluster
        self._machines: dict[str, StateMachine] = {cluster.name: cluster}
        for machine in machines:
            known = self._machines.setdefault(machine.name, machine)
            invariant(known is machine, f"two machines are called {machine.name}")
        self._bookkeepers = {
            name: machine
            for name, machine in self._machines.items()
            if isinstance(machine, Bookkeeper)
        }

    def apply(self, entry: Entry) -> Outcome:
        """A NORMAL entry or a NOOP."""
        index, _, kind, data = entry
        self._check_next(index)
        invariant(kind != EntryKind.CHANGE, "a change goes to apply_change")
        outcome = Outcome(None, None)
        if kind == EntryKind.NORMAL:
            outcome = self._request(index, data)
        self.applied_index = index
        return outcome

    def apply_change(self, entry: Entry, change: ConfigChange) -> Outcome:
        """The cluster's word on a change: a MemberRecord or a RefusedChange."""
        self._check_next(entry.index)
        invariant(entry.kind == EntryKind.CHANGE, "only a change goes to apply_change")
        value = self._cluster.change(change)
        self._account(self._cluster)
        self.applied_index = entry.index
        return Outcome(None, value)

    def _request(self, index: int, data: bytes) -> Outcome:
        try:
            name, request_id, time_ns, body = decode_request(data)
        except RequestError as refusal:
            return Outcome(None, refusal)
        machine = self._machines.get(name)
        if machine is None:
            unknown = RequestError(_UNKNOWN_MACHINE, f"no state machine {name!r}")
            return Outcome(request_id, unknown)
        value = machine.apply(index=index, time_ns=time_ns, body=body)
        bookkeeper = self._bookkeepers.get(name)
        if bookkeeper is not None:
            self._account(bookkeeper)
        return Outcome(request_id, value)

    def _check_next(self, index: int) -> None:
        if index != self.applied_index + 1:
            raise InvariantViolated(
                f"entry {index} after {self.applied_index}: skipped or applied twice"
            )

    def _account(self, bookkeeper: Bookkeeper) -> None:
        writes = bookkeeper.take_writes()
        if writes:
            for machine in self._machines.values():
                machine.internal_writes(writes)

    def publish(self) -> None:
        """Tell watchers of all machines; after a batch, never amid it."""
        for machine in self._machines.values():
            machine.publish()

    def due(self, time_ns: int) -> list[tuple[str, bytes]]:
        """What a leader should propose now: machine names and bodies."""
        return [
            (name, body)
            for name, machine in self._machines.items()
            for body in machine.due(time_ns=time_ns)
        ]

    def snapshot(self) -> Iterator[bytes]:
        """The state at this moment; encoded lazily, in chunks of at most 64 KiB."""
        sections = [machine.snapshot() for machine in self._machines.values()]
        return encode_sections(applied_index=self.applied_index, sections=sections)

    def restoring(self, chunks: Iterable[bytes]) -> Restoring:
        """
        Read what is to replace the state of all machines, and the applied index.

        Entries must not be applied meanwhile.

        :raises StorageError: damaged, or not of these machines; all state is as before.
        """
        reader = SectionReader(chunks)
        missing = set(self._machines)
        replacing: list[Callable[[], None]] = []
        for section in reader.sections():
            if section.name not in missing:
                raise StorageError(
                    f"snapshot section {section.name!r} is unknown or repeated"
                )
            missing.remove(section.name)
            machine = self._machines[section.name]
            replace = yield from machine.restoring(
                version=section.version, chunks=section.chunks
            )
            replacing.append(replace)
        for name in sorted(missing):
            machine = self._machines[name]
            if machine.required:
                raise StorageError(f"snapshot lacks section {name!r}")
            replacing.append((yield from machine.restoring(version=0, chunks=())))

        def replace_all() -> None:
            for replace in replacing:
                replace()
            self.applied_index = reader.applied_index

        return replace_all
