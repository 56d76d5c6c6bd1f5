"""
Members to test programs with: in memory and virtual time, or in a process of their own.

What is named here may be relied on; the modules below are the project's own test kit,
with its simulated clock, disk, network and whole members, and may change between
releases. :mod:`kvd.testing.fixtures` has the same for pytest.

Nothing is imported before it is asked for, so that the one kind needs nothing of the
other.

.. versionadded:: 0.1
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kvd.testing.cases import KvdTestMixin
    from kvd.testing.memory.cluster import InMemoryCluster, InMemoryMember
    from kvd.testing.memory.errors import LeftoverWarning, StillWaiting, TooManyTurns
    from kvd.testing.memory.member import Member
    from kvd.testing.memory.net import MemoryReactor
    from kvd.testing.process import MemberProcess
    from kvd.testing.servers import ServerFailed

__all__ = [
    "InMemoryCluster",
    "InMemoryMember",
    "KvdTestMixin",
    "LeftoverWarning",
    "Member",
    "MemberProcess",
    "MemoryReactor",
    "ServerFailed",
    "StillWaiting",
    "TooManyTurns",
]

_MODULES = {
    "InMemoryCluster": "kvd.testing.memory.cluster",
    "InMemoryMember": "kvd.testing.memory.cluster",
    "KvdTestMixin": "kvd.testing.cases",
    "LeftoverWarning": "kvd.testing.memory.errors",
    "Member": "kvd.testing.memory.member",
    "MemberProcess": "kvd.testing.process",
    "MemoryReactor": "kvd.testing.memory.net",
    "ServerFailed": "kvd.testing.servers",
    "StillWaiting": "kvd.testing.memory.errors",
    "TooManyTurns": "kvd.testing.memory.errors",
}


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
