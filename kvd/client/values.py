"""What a cluster answers, typed."""

from __future__ import annotations

from collections.abc import Iterator

import attrs


@attrs.frozen
class Node:
    """
    A key: a file, which has a value, or a directory, which has nodes.

    :ivar key: from the root, with a slash; ``/`` is the root.
    :ivar value: None for a directory, and for what was deleted.
    :ivar ttl: seconds that were left when the server answered.
    :ivar expiration: RFC 3339, as the server writes it.
    :ivar nodes: what is in the directory and not hidden; of the directories in it only
        if the request was recursive.

    .. versionadded:: 0.1
    """

    key: str
    value: str | None = None
    dir: bool = False
    expiration: str | None = None
    ttl: int | None = None
    nodes: tuple[Node, ...] = ()
    modified_index: int = 0
    created_index: int = 0

    @property
    def name(self) -> str:
        """The key's last component."""
        return self.key.rpartition("/")[2]

    def walk(self) -> Iterator[Node]:
        """All nodes below this one, each directory before what is in it."""
        for node in self.nodes:
            yield node
            yield from node.walk()


@attrs.frozen
class Event:
    """
    Something that happened to a key.

    :ivar action: etcd's word: ``set create update compareAndSwap delete
        compareAndDelete expire``; ``get`` for what was only read.
    :ivar previous: the node before it, if there was one.

    .. versionadded:: 0.1
    """

    action: str
    node: Node
    previous: Node | None = None

    @property
    def index(self) -> int:
        """The etcd index of this event; no other one has the same."""
        return self.node.modified_index

    @property
    def removed(self) -> bool:
        """Whether the key is gone with it."""
        return self.action in {"delete", "compareAndDelete", "expire"}


@attrs.frozen
class Response:
    """
    The answer to a request about keys.

    :ivar created: whether the server says that the key is new.
    :ivar etcd_index: of a write, its own; of a read, the store's.
    :ivar raft_index: of the member that answered.
    :ivar raft_term: of the member that answered.
    :ivar endpoint: which one answered.

    .. versionadded:: 0.1
    """

    event: Event
    created: bool
    etcd_index: int
    raft_index: int
    raft_term: int
    cluster_id: str
    endpoint: str

    @property
    def action(self) -> str:
        return self.event.action

    @property
    def node(self) -> Node:
        return self.event.node

    @property
    def previous(self) -> Node | None:
        return self.event.previous


@attrs.frozen
class Member:
    """
    A member of the cluster; one that has not started yet has no name.

    .. versionadded:: 0.1
    """

    id: str
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]


@attrs.frozen
class User:
    """
    A user; the roles are names, and need not exist.

    .. versionadded:: 0.1
    """

    name: str
    roles: tuple[str, ...] = ()


@attrs.frozen
class Role:
    """
    A role: patterns of keys that whoever has it may read, and write.

    .. versionadded:: 0.1
    """

    name: str
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()


@attrs.frozen
class Version:
    """
    What one member runs, and what the whole cluster has agreed on.

    .. versionadded:: 0.1
    """

    server: str
    cluster: str
