"""What one option is, and the few ways in which options are written down."""

from __future__ import annotations

import attrs

from kvd.config import Config
from kvd.options.values import Boolean, Kind, Whole


@attrs.frozen
class Option:
    """
    One option; the same name in a file, as ``--name`` and as ``KVD_NAME``.

    :ivar default: shown, where it follows from other options.
    :ivar ours: kvd's own, so ``ETCD_`` variables do not set it.
    :ivar since: the version of kvd that honours it first.
    :ivar difference: from etcd 3.4, empty when there is none.
    :ivar old_names: it went by in older versions of etcd.
    :ivar reached: of a limit, what happens when it is reached, and who sees what.
    """

    name: str
    kind: Kind
    meaning: str
    default: str = ""
    ours: bool = False
    since: str = "0.1.0"
    difference: str = ""
    old_names: tuple[str, ...] = ()
    reached: str = ""

    @property
    def field(self) -> str:
        """Its attribute of :class:`kvd.config.Config`."""
        return self.name.replace("-", "_")

    @property
    def boolean(self) -> bool:
        """Whether ``--name`` alone means true."""
        return isinstance(self.kind, Boolean)

    @property
    def default_text(self) -> str:
        return self.default or self.kind.show(getattr(Config(), self.field))


def own(name: str, kind: Kind, meaning: str, *, reached: str = "") -> Option:
    """One that etcd does not have."""
    return Option(name, kind, meaning, ours=True, reached=reached)


def in_bytes(minimum: int, maximum: int) -> Whole:
    return Whole(minimum, maximum, "bytes")


def in_milliseconds(minimum: int, maximum: int) -> Whole:
    return Whole(minimum, maximum, "ms")
