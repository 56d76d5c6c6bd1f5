"""The operations that change a v2 store, with etcd's rules (V2-SPEC 4)."""

from __future__ import annotations

from typing import TypeAlias

from kvd.errors import RequestError
from kvd.v2.commands import Command
from kvd.v2.events import Event, NodeView
from kvd.v2.expiry import created_expiration
from kvd.v2.store import Store, file_view, view_of
from kvd.v2.tree import Directory, File, Node, file_parts, make_file

NOT_A_FILE = 102
COMPARE_FAILED = 101
ALREADY_EXISTS = 105
ROOT_READ_ONLY = 107
DIRECTORY_NOT_EMPTY = 108

Answer: TypeAlias = Event | RequestError


def set_(store: Store, command: Command, time_ns: int) -> Answer:
    """Whatever is there is replaced by a new node, but a directory is not."""
    stats = store.stats
    path = command.path
    if path == "/":
        stats.sets_fail += 1
        return RequestError(ROOT_READ_ONLY, "/", store.index)
    value = command.value
    try:
        if command.refresh:
            kept = store.find(path)
            value = "" if isinstance(kept, Directory) else file_parts(kept)[0]
        parent, name = store.own_parent(path)
    except RequestError as refusal:
        stats.sets_fail += 1
        return refusal
    old = parent.get(name)
    if isinstance(old, Directory):
        stats.sets_fail += 1
        return RequestError(NOT_A_FILE, path, store.index)
    prev = None
    if old is not None:
        prev = file_view(path, old)
    old_expiration = None if prev is None else prev.expiration_ns
    node = _make(store, parent, name, command, value, old_expiration)
    stats.sets_success += 1
    return _changed(
        store, Event("set", node, prev, store.index + 1, command.refresh, time_ns)
    )


def create(store: Store, command: Command, time_ns: int) -> Answer:
    """A node where nothing was."""
    if command.path == "/":
        store.stats.creates_fail += 1
        return RequestError(ROOT_READ_ONLY, "/", store.index)
    return _create(store, command, time_ns)


def create_in_order(store: Store, command: Command, time_ns: int) -> Answer:
    """A node below ``path``, named after the index that this operation gets."""
    above = "" if command.path == "/" else command.path
    named = command._replace(path=f"{above}/{store.index + 1:020d}")
    return _create(store, named, time_ns)


def _create(store: Store, command: Command, time_ns: int) -> Answer:
    stats = store.stats
    path = command.path
    try:
        parent, name = store.own_parent(path)
    except RequestError as refusal:
        stats.sets_fail += 1
        stats.creates_fail += 1
        stats.creates_through_file += 1
        return refusal
    if parent.get(name) is not None:
        stats.creates_fail += 1
        return RequestError(ALREADY_EXISTS, path, store.index)
    node = _make(store, parent, name, command, command.value, None)
    stats.creates_success += 1
    return _changed(store, Event("create", node, None, store.index + 1, False, time_ns))


def _make(
    store: Store,
    parent: Directory,
    name: str,
    command: Command,
    value: str,
    old_expiration: int | None,
) -> NodeView:
    """Put a new node into an owned directory; returns what the event shows."""
    path = command.path
    index = store.index + 1
    expiration = created_expiration(command.expiration_ns)
    if command.dir:
        directory = Directory(
            created=index,
            modified=index,
            expiration_ns=expiration,
            epoch=store.epoch,
        )
        parent.put(name, directory)
    else:
        file = make_file(value, created=index, modified=index, expiration_ns=expiration)
        parent.put(name, file)
    store.expiries.move(path, old_expiration, expiration)
    return NodeView(
        path,
        None if command.dir else value,
        command.dir,
        expiration,
        None,
        index,
        index,
    )


def update(store: Store, command: Command, time_ns: int) -> Answer:
    """
    A new value and TTL for a node that exists.

    Of a directory only the TTL changes: the event shows a new modified index, but the
    directory keeps its old one (V2-SPEC 4.5).
    """
    stats = store.stats
    path = command.path
    if path == "/":
        stats.updates_success += 1
        return RequestError(ROOT_READ_ONLY, "/", store.index)
    try:
        old = store.find(path)
    except RequestError as refusal:
        stats.updates_fail += 1
        return refusal
    stats.updates_success += 1
    if not isinstance(old, Directory):
        return _rewrite(store, "update", command, time_ns, old)
    if command.value:
        return RequestError(NOT_A_FILE, path, store.index)
    index = store.index + 1
    expiration = command.expiration_ns
    prev = view_of(path, old)
    parent, name = store.own_parent(path)
    directory = old
    if directory.epoch != store.epoch:
        directory = directory.clone(store.epoch)
        parent.put(name, directory)
    store.expiries.move(path, old.expiration_ns, expiration)
    directory.expiration_ns = expiration
    node = NodeView(path, None, True, expiration, None, index, directory.created)
    return _changed(store, Event("update", node, prev, index, command.refresh, time_ns))


def compare_and_swap(store: Store, command: Command, time_ns: int) -> Answer:
    """A new value for a file that is as the client believes it to be."""
    stats = store.stats
    path = command.path
    if path == "/":
        stats.compare_and_swaps_success += 1
        return RequestError(ROOT_READ_ONLY, "/", store.index)
    try:
        old = store.find(path)
    except RequestError as refusal:
        stats.compare_and_swaps_fail += 1
        return refusal
    if isinstance(old, Directory):
        stats.compare_and_swaps_fail += 1
        return RequestError(NOT_A_FILE, path, store.index)
    differs = _difference(command, old)
    if differs:
        stats.compare_and_swaps_fail += 1
        return RequestError(COMPARE_FAILED, differs, store.index)
    stats.compare_and_swaps_success += 1
    return _rewrite(store, "compareAndSwap", command, time_ns, old)


def delete(store: Store, command: Command, time_ns: int) -> Answer:
    """Remove a file, an empty directory, or everything below a path."""
    stats = store.stats
    path = command.path
    if path == "/":
        stats.deletes_success += 1
        return RequestError(ROOT_READ_ONLY, "/", store.index)
    try:
        old = store.find(path)
    except RequestError as refusal:
        stats.deletes_fail += 1
        return refusal
    if isinstance(old, Directory) and not command.recursive:
        code = DIRECTORY_NOT_EMPTY if command.dir else NOT_A_FILE
        if not command.dir or len(old):
            stats.deletes_fail += 1
            return RequestError(code, path, store.index)
    stats.deletes_success += 1
    return _remove(store, "delete", path, old, time_ns)


def compare_and_delete(store: Store, command: Command, time_ns: int) -> Answer:
    """Remove a file that is as the client believes it to be."""
    stats = store.stats
    path = command.path
    try:
        old = store.find(path)
    except RequestError as refusal:
        stats.compare_and_deletes_fail += 1
        return refusal
    stats.compare_and_deletes_success += 1
    if isinstance(old, Directory):
        return RequestError(NOT_A_FILE, "" if path == "/" else path, store.index)
    differs = _difference(command, old)
    if differs:
        return RequestError(COMPARE_FAILED, differs, store.index)
    return _remove(store, "compareAndDelete", path, old, time_ns)


def expire(store: Store, command: Command, time_ns: int) -> tuple[Event, ...]:
    """
    Remove what is due at the command's instant: by expiration, then by path.

    A directory takes everything below it along, as one event.
    """
    cutoff = command.expiration_ns
    events: list[Event] = []
    while cutoff is not None and (not command.limit or len(events) < command.limit):
        due = store.expiries.first()
        if due is None or due[0] > cutoff:
            break
        path = due[1]
        store.stats.expirations += 1
        events.append(_remove(store, "expire", path, store.find(path), time_ns))
    return tuple(events)


def _rewrite(
    store: Store, action: str, command: Command, time_ns: int, old: File
) -> Event:
    """Update a file in place: it keeps its created index."""
    path = command.path
    index = store.index + 1
    old_value, created, modified, old_expiration = file_parts(old)
    value = old_value if command.refresh else command.value
    expiration = command.expiration_ns
    parent, name = store.own_parent(path)
    file = make_file(value, created=created, modified=index, expiration_ns=expiration)
    parent.put(name, file)
    store.expiries.move(path, old_expiration, expiration)
    return _changed(
        store,
        Event(
            action,
            NodeView(path, value, False, expiration, None, index, created),
            NodeView(path, old_value, False, old_expiration, None, modified, created),
            index,
            command.refresh,
            time_ns,
        ),
    )


def _remove(store: Store, action: str, path: str, old: Node, time_ns: int) -> Event:
    index = store.index + 1
    prev = view_of(path, old)
    node = NodeView(path, None, prev.dir, None, None, index, prev.created_index)
    event = Event(action, node, prev, index, False, time_ns)
    parent, name = store.own_parent(path)
    parent.remove(name)

    def existed(watched: str) -> bool:
        child: Node | None = old
        for step in watched[len(path) + 1 :].split("/"):
            if not isinstance(child, Directory):
                return False
            child = child.get(step)
        return child is not None

    store.hub.notify_removal(event, existed)
    store.forget(path, old)
    return _changed(store, event)


def _changed(store: Store, event: Event) -> Event:
    store.index = event.etcd_index
    store.history.append(event)
    if not event.refresh:
        store.hub.notify(event)
    return event


def _difference(command: Command, old: File) -> str:
    """What differs from the client's belief, worded as etcd does; empty if nothing."""
    differs = []
    value, _, modified, _ = file_parts(old)
    given = command.prev_value
    if given and given != value:
        differs.append(f"[{given} != {value}]")
    if command.prev_index and command.prev_index != modified:
        differs.append(f"[{command.prev_index} != {modified}]")
    return " ".join(differs)
