"""What a role allows: patterns for reading and for writing (V2-SPEC 11.5)."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

# None: never given, which is shown as null.
Texts: TypeAlias = tuple[str, ...] | None


class Permissions(NamedTuple):
    """
    Patterns of key paths; one that ends with ``*`` stands for all that begins so, an
    empty one for nothing.

    :ivar read: for GET and HEAD.
    :ivar write: for everything else.
    """

    read: Texts = None
    write: Texts = None

    @property
    def empty(self) -> bool:
        return not self.read and not self.write

    def allow(self, path: str, *, write: bool, recursive: bool) -> bool:
        """
        :param path: as sent, with the slash that it may end with; empty for the root.
        :param recursive: all below it, which only a pattern with ``*`` allows.
        """
        for pattern in (self.write if write else self.read) or ():
            if pattern.endswith("*"):
                if path.startswith(pattern[:-1]):
                    return True
            elif path == pattern and pattern and not recursive:
                return True
        return False


NOTHING = Permissions()
EVERYTHING = Permissions(("/*",), ("/*",))


class DuplicateError(ValueError):
    """A pattern is granted that is there already; the text says which."""


def granted(have: Permissions, more: Permissions | None) -> Permissions:
    """
    Both together; sorted, unless there is nothing to grant.

    :raises DuplicateError: etcd's refusal.
    """
    if more is None:
        return have
    return Permissions(
        _with(have.read, more.read, "read"), _with(have.write, more.write, "write")
    )


def revoked(have: Permissions, less: Permissions | None) -> Permissions:
    """What is left; a pattern that is not there is no mistake."""
    if less is None:
        return have
    return Permissions(_without(have.read, less.read), _without(have.write, less.write))


def _with(have: Texts, more: Texts, kind: str) -> tuple[str, ...]:
    patterns = set(have or ())
    for pattern in more or ():
        if pattern in patterns:
            raise DuplicateError(f"Granting duplicate {kind} permission {pattern}")
        patterns.add(pattern)
    return tuple(sorted(patterns))


def _without(have: Texts, less: Texts) -> tuple[str, ...]:
    return tuple(sorted(set(have or ()).difference(less or ())))
