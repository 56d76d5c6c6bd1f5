"""What this room asks of the v2 store and of the member list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from kvd.cluster.members import MemberRecord
from kvd.node.stats import RaftTraffic
from kvd.v2.accounts import Role, User
from kvd.v2.auth import Verdict
from kvd.v2.commands import Asker
from kvd.v2.events import Event


class Watched(Protocol):
    """
    An accepted watch.

    :ivar index: etcd index when it was accepted.
    :ivar event: a hit out of the history, and then no other will come; or None.
    """

    @property
    def index(self) -> int: ...
    @property
    def event(self) -> Event | None: ...
    @property
    def cancel(self) -> Callable[[], None]:
        """No more events; may be called at any time and again."""
        ...


class StoreCounters(Protocol):
    """The counters of ``/v2/stats/store``."""

    def count_get(self, *, ok: bool) -> None: ...

    def values(self) -> Sequence[int]:
        """In etcd's order, ``watchers`` last."""
        ...


class KeysStore(Protocol):
    """The read side of the v2 machine."""

    @property
    def index(self) -> int: ...

    @property
    def stats(self) -> StoreCounters: ...

    def get(self, path: str, *, recursive: bool, sorted: bool) -> Event:  # noqa: A002 -- etcd's word
        """
        :raises RequestError: 100 or 104.
        """
        ...

    def watch(
        self,
        path: str,
        *,
        recursive: bool,
        stream: bool,
        since: int,
        callback: Callable[[Event | None], None],
    ) -> Watched:
        """
        :param since: the first index of interest, 0: the next.
        :param callback: gets events while they are published, and None when the
            watcher was dropped.
        :raises RequestError: 401.
        """
        ...


class AuthView(Protocol):
    """
    The read side of the auth machine.

    :ivar index: rises with each change.
    :ivar written: whether anything ever was.
    """

    index: int
    enabled: bool
    written: bool

    def password_hash(self, name: str) -> str:
        """A user's, empty when there is no such user."""
        ...

    def user(self, name: str) -> User | None: ...

    def role(self, name: str) -> Role | None: ...

    def user_names(self) -> list[str]: ...

    def role_names(self) -> list[str]: ...

    def judge(
        self, asker: Asker, path: str, *, write: bool, recursive: bool
    ) -> Verdict: ...

    def is_root(self, asker: Asker) -> bool: ...


class ClusterView(Protocol):
    """The read side of the cluster machine."""

    @property
    def version(self) -> str:
        """Of the cluster, empty until it was decided."""
        ...

    def members(self) -> Sequence[MemberRecord]:
        """Ascending by id."""
        ...

    def member(self, member_id: int) -> MemberRecord | None: ...


class ServerStats(Protocol):
    """
    What a member counts of itself.

    :ivar started_ns: when it was started, ns since the epoch.
    """

    @property
    def started_ns(self) -> int: ...
    @property
    def traffic(self) -> RaftTraffic: ...
