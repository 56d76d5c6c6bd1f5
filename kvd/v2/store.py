"""The tree of a v2 store and how it is walked; the operations are in mutations."""

from __future__ import annotations

from collections.abc import Iterator

from kvd.errors import RequestError
from kvd.v2.events import Event, NodeView
from kvd.v2.expiries import Expiries
from kvd.v2.graveyard import Graveyard
from kvd.v2.history import EventHistory
from kvd.v2.stats import StoreStats
from kvd.v2.tree import Directory, Node, file_expiration, file_parts
from kvd.v2.watchers import WatcherHub

KEY_NOT_FOUND = 100
NOT_A_DIRECTORY = 104


def new_root() -> Directory:
    return Directory(created=0, modified=0, expiration_ns=None, epoch=0)


class Store:
    """
    The state of the v2 machine.

    :ivar index: the etcd index: steps so far, clients' and the cluster's own.
    :ivar expiries: every node that is not permanent.
    :ivar graveyard: removed directories that are still to be freed.
    """

    def __init__(self, history_max: int) -> None:
        self.index = 0
        self.root = new_root()
        self.epoch = 0
        self.expiries = Expiries()
        self.graveyard = Graveyard()
        self.stats = StoreStats()
        self.history = EventHistory(history_max)
        self.hub = WatcherHub(self.stats)

    def get(self, path: str, *, recursive: bool, ordered: bool) -> Event:
        """:raises RequestError: 100 or 104."""
        if recursive:
            self.stats.recursive_gets += 1
        try:
            node = self.find(path)
        except RequestError:
            self.stats.gets_fail += 1
            raise
        self.stats.gets_success += 1
        key = "" if path == "/" else path
        if isinstance(node, Directory):
            view = listing(key, node, recursive=recursive, ordered=ordered)
        else:
            view = file_view(key, node)
        return Event("get", view, None, self.index, False)

    def find(self, path: str) -> Node:
        """
        The node at a path.

        :raises RequestError: 100 with the first missing path; 104 with the path of a
            file on the way.
        """
        node: Node = self.root
        if path == "/":
            return node
        names = path.split("/")
        for at in range(1, len(names)):
            if not isinstance(node, Directory):
                raise RequestError(NOT_A_DIRECTORY, "/".join(names[:at]), self.index)
            child = node.get(names[at])
            if child is None:
                raise RequestError(KEY_NOT_FOUND, "/".join(names[: at + 1]), self.index)
            node = child
        return node

    def own_parent(self, path: str) -> tuple[Directory, str]:
        """
        The directory of a path (not the root), ready to be changed, and the last name.

        Directories that are missing on the way are made, with the index of the
        operation to come.

        :raises RequestError: 104; nothing was made then.
        """
        epoch = self.epoch
        directory = self.root
        if directory.epoch != epoch:
            directory = self.root = directory.clone(epoch)
        names = path.split("/")
        last = len(names) - 1
        for at in range(1, last):
            name = names[at]
            child = directory.get(name)
            if child is None:
                index = self.index + 1
                child = Directory(
                    created=index, modified=index, expiration_ns=None, epoch=epoch
                )
                directory.put(name, child)
            elif not isinstance(child, Directory):
                cause = "/".join(names[: at + 1])
                raise RequestError(NOT_A_DIRECTORY, cause, self.index)
            elif child.epoch != epoch:
                child = child.clone(epoch)
                directory.put(name, child)
            directory = child
        return directory, names[last]

    def forget(self, path: str, node: Node) -> None:
        """A node has been taken out of the tree, with all that is below it."""
        expiration = expiration_of(node)
        if expiration is not None:
            self.expiries.discard(expiration, path)
        if isinstance(node, Directory):
            for group in self.expiries.forget_below(path):
                self.graveyard.bury(group)
            self.graveyard.bury(node)


def expiration_of(node: Node) -> int | None:
    return node.expiration_ns if isinstance(node, Directory) else file_expiration(node)


def file_view(key: str, node: bytes) -> NodeView:
    value, created, modified, expiration = file_parts(node)
    return NodeView(key, value, False, expiration, None, modified, created)


def view_of(key: str, node: Node) -> NodeView:
    """A node without children, as ``prevNode`` shows it."""
    if isinstance(node, Directory):
        return NodeView(
            key, None, True, node.expiration_ns, None, node.modified, node.created
        )
    return file_view(key, node)


def listing(
    key: str, directory: Directory, *, recursive: bool, ordered: bool
) -> NodeView:
    """
    A directory with its visible children, to any depth without recursion.

    ``open_`` holds the directories on the way down: each with its key, the children
    that are still to be seen and the views of those that have been.
    """
    views: list[NodeView] = []
    open_ = [(key, directory, _children(directory, ordered=ordered), views)]
    while True:
        key, directory, rest, views = open_[-1]
        prefix = key + "/"
        for name, node in rest:
            if name[:1] == "_":
                continue
            if not isinstance(node, Directory):
                views.append(file_view(prefix + name, node))
            elif recursive:
                children = _children(node, ordered=ordered)
                open_.append((prefix + name, node, children, []))
                break
            else:
                views.append(view_of(prefix + name, node))
        else:
            open_.pop()
            view = NodeView(
                key,
                None,
                True,
                directory.expiration_ns,
                tuple(views) or None,
                directory.modified,
                directory.created,
            )
            if not open_:
                return view
            open_[-1][3].append(view)


def _children(directory: Directory, *, ordered: bool) -> Iterator[tuple[str, Node]]:
    if ordered:
        named = [item for part in directory.parts() for item in part.items()]
        named.sort(key=lambda item: item[0].encode("utf-8", "surrogateescape"))
        yield from named
    else:
        for part in directory.parts():
            yield from part.items()
