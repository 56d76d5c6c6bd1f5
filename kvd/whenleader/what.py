"""What is run on the leader: a plugin of ``twistd``, or an application file."""

# Twisted leaves its plugins and loaders without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import attrs
from twisted.application.service import IService, IServiceMaker, loadApplication
from twisted.python import usage

_FILES = (".tac", ".py")


@attrs.frozen
class What:
    """
    Something that can be run, and again later.

    :ivar name: for log lines.
    :ivar make: the service, not started; a new one each time.
    """

    name: str
    make: Callable[[], IService]


def what_of(
    words: Sequence[str], *, makers: Iterable[IServiceMaker], parent: object
) -> What:
    """
    :param words: a file that defines ``application``; or a plugin's name, and its options.
    :param makers: all plugins.
    :param parent: twistd's own options, which a plugin's may look at.
    :raises usage.UsageError: there is no such thing, or it refuses its options.
    """
    if not words:
        raise usage.UsageError("say what is to be run, after --")
    name, *arguments = words
    if name.endswith(_FILES):
        return _file(name, arguments)
    by_name = {maker.tapname: maker for maker in makers}
    maker = by_name.get(name)
    if maker is None:
        known = ", ".join(sorted(by_name))
        raise usage.UsageError(f"twistd has no {name}; it has {known}")
    return _plugin(maker, arguments, parent)


def _file(name: str, arguments: Sequence[str]) -> What:
    """It is read each time that it is run, and now to see whether it can be."""
    path = os.path.abspath(name)  # twistd may change its folder
    if arguments:
        raise usage.UsageError(f"{name} takes no options")
    try:
        with open(path, "rb") as file:
            ast.parse(file.read(), path)
    except OSError as problem:
        raise usage.UsageError(f"{name}: {problem.strerror}") from None
    except (SyntaxError, ValueError) as problem:
        raise usage.UsageError(f"{name}: {problem}") from None
    return What(name, lambda: IService(loadApplication(path, "python")))


def _plugin(maker: IServiceMaker, arguments: Sequence[str], parent: object) -> What:
    name = maker.tapname
    options: Any = maker.options()  # each plugin has its own
    options.parent = parent
    try:
        options.parseOptions(list(arguments))
    except usage.UsageError as problem:
        raise usage.UsageError(f"{name}: {problem}") from None
    return What(name, lambda: cast(IService, maker.makeService(options)))
