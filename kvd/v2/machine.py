"""etcd's v2 store as a state machine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from kvd.errors import RequestError, StorageError
from kvd.state import InternalWrite, Restoring, Section
from kvd.v2 import mutations, snapshot
from kvd.v2.auth import INSUFFICIENT, Auth
from kvd.v2.commands import Asker, Command, Op, decode_command, encode_command
from kvd.v2.events import Event
from kvd.v2.stats import StoreStats
from kvd.v2.store import Store
from kvd.v2.text import text_bytes
from kvd.v2.tree import Directory, Node
from kvd.v2.watchers import Callback, Watched, Watcher

# One Sync entry removes at most so many nodes, and this many entries are asked for at
# a time: a million keys that end together must not stop the reactor.
EXPIRE_MAX = 500
SYNCS_MAX = 8
# Members of removed directories freed after a batch, about a tenth of a millisecond.
DIG_AT_PUBLISH = 1000
UNAUTHORISED = 110
_UNCHECKED = Asker()
# What counts a write of the cluster's own, by its action.
_COUNTERS = {"create": "creates", "update": "updates", "delete": "deletes"}

_OPERATIONS: dict[Op, Callable[[Store, Command, int], object]] = {
    Op.SET: mutations.set_,
    Op.CREATE: mutations.create,
    Op.CREATE_IN_ORDER: mutations.create_in_order,
    Op.UPDATE: mutations.update,
    Op.COMPARE_AND_SWAP: mutations.compare_and_swap,
    Op.DELETE: mutations.delete,
    Op.COMPARE_AND_DELETE: mutations.compare_and_delete,
    Op.SYNC: mutations.expire,
}


class V2:
    """
    The v2 machine: writes come through the log, gets and watches are local.

    ``apply`` answers an :class:`Event` or a :class:`RequestError` (returned, not
    raised), and a tuple of Events for a Sync.

    :param auth: who may write what; None: everybody everything.
    """

    name = "v2"
    required = True

    def __init__(self, history_max: int = 1000, auth: Auth | None = None) -> None:
        self._store = Store(history_max)
        self._auth = Auth() if auth is None else auth

    @property
    def index(self) -> int:
        """The etcd index."""
        return self._store.index

    @property
    def stats(self) -> StoreStats:
        return self._store.stats

    @property
    def history_first_index(self) -> int:
        """The oldest index that a watch may still ask for."""
        return self._store.index + 1 - len(self._store.history)

    # -- the log --

    def apply(self, *, index: int, time_ns: int, body: bytes) -> object:
        del index  # etcd's own index counts steps, not entries
        try:
            command = decode_command(body)
        except RequestError as refusal:
            return refusal
        store = self._store
        if store.graveyard:
            store.graveyard.dig()
        if self._auth.enabled and not self._allowed(command):
            return RequestError(UNAUTHORISED, INSUFFICIENT)
        return _OPERATIONS[command.op](store, command, time_ns)

    def _allowed(self, command: Command) -> bool:
        """What was found when it was let in holds, or is found out again."""
        auth = self._auth
        by = command.by or _UNCHECKED
        return (
            by.index == auth.index
            or command.op is Op.SYNC
            or auth.judge(
                by, command.asked_path, write=True, recursive=command.recursive
            ).allowed
        )

    def internal_writes(self, writes: Sequence[InternalWrite]) -> None:
        """One index and one place in the history each; clients never see them."""
        store = self._store
        stats = store.stats
        for write in writes:
            if write.action == "get":
                stats.count_get(ok=write.ok)
                continue
            if write.ok:
                store.index += 1
                store.history.append(None)
            counter = _COUNTERS.get(write.action, "sets")
            counter += "_success" if write.ok else "_fail"
            setattr(stats, counter, getattr(stats, counter) + 1)

    def publish(self) -> None:
        self._store.graveyard.dig(DIG_AT_PUBLISH)
        self._store.hub.publish()

    def due(self, *, time_ns: int) -> Sequence[bytes]:
        """As many Syncs as it takes to expire what is due, within bounds."""
        due = self._store.expiries.due(time_ns, most=EXPIRE_MAX * SYNCS_MAX)
        if not due:
            return ()
        sync = Command(Op.SYNC, "", expiration_ns=time_ns, limit=EXPIRE_MAX)
        return (encode_command(sync),) * -(-due // EXPIRE_MAX)

    def snapshot(self) -> Section:
        captured = snapshot.capture(self._store)
        return Section(self.name, snapshot.VERSION, snapshot.encode(captured))

    def restoring(self, *, version: int, chunks: Iterable[bytes]) -> Restoring:
        """
        Watchers that live on are told what the new history has for them; those who
        would miss something are dropped (told None), never skipped silently.
        """
        if version != snapshot.VERSION:
            raise StorageError(f"v2 snapshot of unknown version {version}")
        replace_store = yield from snapshot.restoring(self._store, chunks)
        return partial(self._replace, replace_store)

    def _replace(self, replace_store: Callable[[], None]) -> None:
        store = self._store
        seen = store.index
        replace_store()
        places = store.history.all()
        first = store.index + 1 - len(places)
        if seen + 1 < first:
            store.hub.drop_before(first)
        store.hub.catch_up(places[max(0, seen + 1 - first) :])

    # -- local reads --

    # ``sorted`` is etcd's word for it, and this is the seam's signature.
    def get(self, path: str, *, recursive: bool, sorted: bool) -> Event:  # noqa: A002
        """:raises RequestError: 100, 104."""
        return self._store.get(path, recursive=recursive, ordered=sorted)

    def watch(
        self,
        path: str,
        *,
        recursive: bool,
        stream: bool,
        since: int,
        callback: Callback,
    ) -> Watched:
        """
        Search the history and register, in one step.

        :param since: the first index of interest, 0 for what comes from now on.
        :param callback: called during :meth:`publish` with each Event (once, unless
            ``stream``), and with None if the watcher was dropped: nothing follows.
        :raises RequestError: 401, ``since`` is older than the history.
        """
        store = self._store
        store.stats.watch_requests += 1
        index = store.index
        since = since or index + 1
        event = store.history.search(path, recursive=recursive, since=since, last=index)
        if event is not None:
            return Watched(index, event, _nothing)
        watcher = Watcher(
            path, recursive=recursive, stream=stream, since=since, callback=callback
        )
        return Watched(index, None, store.hub.add(watcher))

    def digest(self) -> bytes:
        """
        A hash over everything that must be equal on all members; slow.

        Neither the order of children in memory nor the hash seed has a part in it.
        """
        store = self._store
        total = hashlib.sha256()
        head = (store.index, store.stats.replicated(), store.history.all())
        total.update(ascii(head).encode())
        waiting: list[tuple[str, Node]] = [("", store.root)]
        while waiting:
            path, node = waiting.pop()
            if isinstance(node, Directory):
                shown: object = (
                    node.created,
                    node.modified,
                    node.expiration_ns,
                    len(node),
                )
                children = [item for part in node.parts() for item in part.items()]
                children.sort(key=lambda item: text_bytes(item[0]))
                waiting += [(f"{path}/{name}", child) for name, child in children]
            else:
                shown = node
            total.update(ascii((path, shown)).encode())
        return total.digest()


def _nothing() -> None:
    """There is nothing to cancel."""
