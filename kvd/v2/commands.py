"""What a v2 store can be asked to do through the log, and its encoding."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Op(IntEnum):
    """The operations of V2-SPEC 4.1 that change something."""

    SET = 1
    CREATE = 2
    CREATE_IN_ORDER = 3  # POST: path is the directory
    UPDATE = 4
    COMPARE_AND_SWAP = 5
    DELETE = 6
    COMPARE_AND_DELETE = 7
    SYNC = 8  # expire what is due at ``expiration_ns``; path is empty


class Command(NamedTuple):
    """
    One request; fields that an operation does not use keep their defaults.

    :ivar path: absolute, clean, ``/`` for the root; surrogateescape as in NodeView.
    :ivar prev_value: None: not compared.
    :ivar prev_index: 0: not compared.
    :ivar expiration_ns: None: permanent. Already wrapped as V2-SPEC 6 says.
    """

    op: Op
    path: str
    value: str = ""
    dir: bool = False
    expiration_ns: int | None = None
    refresh: bool = False
    prev_value: str | None = None
    prev_index: int = 0
    recursive: bool = False
