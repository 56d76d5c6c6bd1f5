"""A configuration that lives in the cluster, as a dictionary that is always up to date."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Generic, TypeVar, cast

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from kvd.client.client import Client
from kvd.client.errors import ClientError
from kvd.client.recipes.followed import Followed
from kvd.client.recipes.live import Live, tell
from kvd.client.values import Event, Node
from kvd.client.watching import Change

T = TypeVar("T")


class Absent(Enum):
    """
    In the place of a value that is not there; None may be one.

    .. versionadded:: 0.1
    """

    ABSENT = "absent"


@attrs.frozen
class Changed(Generic[T]):
    """
    A name whose value is another one now.

    :ivar old: :attr:`Absent.ABSENT`: there was none.
    :ivar new: :attr:`Absent.ABSENT`: there is none now, and no default.

    .. versionadded:: 0.1
    """

    name: str
    old: T | Absent
    new: T | Absent


@attrs.frozen
class Settings(Generic[T]):
    """
    All values as of one index of the cluster; they do not change.

    .. versionadded:: 0.1
    """

    values: Mapping[str, T]
    index: int


class ConfigWatcher(Mapping[str, T]):
    """
    Everything below a directory, by name: ``/config/web/pool/size`` is ``pool/size``.

    What is promised:

    * It is the directory as of one index, then as of each later change, one after the
      other; none is skipped unless history was lost, then it is what is there now. No
      index is smaller than the one before. ``settings`` holds all values of one index.
    * A value that cannot be decoded, or that is not valid, changes nothing: the last
      good one, or the default, stays; it is reported, and is in ``refused`` until
      another one comes or the key is gone.
    * While the cluster cannot be reached the values stay as they were known last, and
      ``age_seconds`` says for how long.

    ::

        config = ConfigWatcher(client, "/config/web", decode=json.loads,
                               defaults={"pool/size": 4})
        await config.start()
        config["pool/size"]

    :param path: the directory; it need not be there.
    :param decode: makes a value of a text; None: the text itself. It, and ``validate``,
        refuse by raising anything.
    :param defaults: values of names that are not there, or have had no good one.
    :param validate: called with name and value of each new one.
    :param changed: called with all settings, and what changed in them; the first time
        with what differs from the defaults. What it raises is logged.
    :param refused: called with a name and the reason; None: the name is logged.
    :param keys_max: more are not followed.

    .. versionadded:: 0.1
    """

    _log = Logger()

    def __init__(
        self,
        client: Client,
        path: str,
        *,
        decode: Callable[[str], T] | None = None,
        defaults: Mapping[str, T] | None = None,
        validate: Callable[[str, T], object] | None = None,
        changed: Callable[[Settings[T], tuple[Changed[T], ...]], object] | None = None,
        refused: Callable[[str, str], object] | None = None,
        keys_max: int = 10_000,
    ) -> None:
        self._live = Live(client, path, deep=True, nodes_max=keys_max, told=self._take)
        self._path = "/" + "/".join(each for each in path.split("/") if each)
        # Without one, T is str.
        self._decode = decode or cast("Callable[[str], T]", str)
        self._defaults = dict(defaults or {})
        self._validate = validate
        self._changed = changed
        self._on_refused = refused
        self._nodes: dict[str, Node] = {}
        self._good: dict[str, T] = {}
        self._refused: dict[str, str] = {}
        self._settings = Settings(MappingProxyType(dict(self._defaults)), 0)

    # As a mapping; before the first state is known, of the defaults

    def __getitem__(self, name: str) -> T:
        return self._settings.values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._settings.values)

    def __len__(self) -> int:
        return len(self._settings.values)

    @property
    def settings(self) -> Settings[T]:
        """All values of now, which stay as they are."""
        return self._settings

    @property
    def index(self) -> int:
        """What the values are as of: the newest change below the path; at first, 0."""
        return self._settings.index

    @property
    def age_seconds(self) -> float:
        """
        Since it was last known that this is what the cluster has; at first, inf.

        While all is well it is at most twice the client's ``silent_seconds``, and what it
        needs for a request.
        """
        return self._live.age_seconds

    @property
    def refused(self) -> Mapping[str, str]:
        """Names whose present value is not used, and why."""
        return MappingProxyType(self._refused)

    @property
    def problem(self) -> ClientError | None:
        """Why the values are not kept up to date, if a server refuses."""
        return self._live.problem

    def start(self) -> Deferred[None]:
        """
        Begin; fires once the values are there, through failures.

        :raises ClientError: the server refuses, or there are too many keys.
        """
        return self._live.start()

    def close(self) -> None:
        """Leave the values as they are."""
        self._live.close()

    def _take(self, followed: Followed, change: Change | None) -> None:
        """The state of another index; all of it is taken before anybody is told."""
        before, self._nodes = self._nodes, dict(followed.nodes)
        keys: Iterable[str] = before.keys() | self._nodes.keys()
        if isinstance(change, Event) and change.node.key in self._nodes:
            keys = [change.node.key]
        refused = []
        names = []
        for key in sorted(keys):
            node = self._nodes.get(key)
            if _written(node) == _written(before.get(key)):
                continue
            name = self._name(key)
            names.append(name)
            if not self._is_taken(name, node):
                refused.append(name)
        self._settle(names, followed.index)
        for name in refused:
            self._report(name)

    def _is_taken(self, name: str, node: Node | None) -> bool:
        self._refused.pop(name, None)
        if node is None:
            self._good.pop(name, None)
            return True
        try:
            value = self._decode(node.value or "")
            if self._validate is not None:
                self._validate(name, value)
        except Exception as problem:  # noqa: BLE001 -- whatever they mean by it: no
            self._refused[name] = f"{type(problem).__name__}: {problem}"
            return False
        self._good[name] = value
        return True

    def _settle(self, names: Iterable[str], index: int) -> None:
        old = self._settings.values
        changes = [
            Changed(name, old.get(name, Absent.ABSENT), new)
            for name in names
            if (new := self._value(name)) != old.get(name, Absent.ABSENT)
        ]
        values = old
        if changes:
            values = MappingProxyType({**self._defaults, **self._good})
        self._settings = Settings(values, index)
        if changes and self._changed is not None:
            tell(self._changed, self._settings, tuple(changes))

    def _value(self, name: str) -> T | Absent:
        return self._good.get(name, self._defaults.get(name, Absent.ABSENT))

    def _report(self, name: str) -> None:
        if self._on_refused is not None:
            tell(self._on_refused, name, self._refused[name])
        else:
            self._log.warn(
                "the value of {name} below {path} cannot be used",
                name=name,
                path=self._path,
            )

    def _name(self, key: str) -> str:
        return key[len(self._path.rstrip("/")) + 1 :]


def _written(node: Node | None) -> int | None:
    """When it was written last, which no two values of a key have in common."""
    return None if node is None else node.modified_index
