"""``kvctl role``: what those who have a role may read and write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from kvd import golang
from kvd.kvctl import accounts, documents
from kvd.kvctl.cluster import Cluster
from kvd.kvctl.command import Command
from kvd.kvctl.context import Context
from kvd.kvctl.errors import BAD_ARGUMENTS, ClusterError, Failed
from kvd.kvctl.flags import Flag, Kind
from kvd.kvctl.wire import Answer


class Role(NamedTuple):
    """
    A role and its patterns.

    :ivar read: None where none were ever given.
    """

    name: str
    read: tuple[str, ...] | None = None
    write: tuple[str, ...] | None = None

    def lines(self) -> list[str]:
        """As ``role get`` shows it."""
        return [
            f"Role: {self.name}",
            "KV Read:",
            *(f"\t{pattern}" for pattern in self.read or ()),
            "KV Write:",
            *(f"\t{pattern}" for pattern in self.write or ()),
        ]


def _list(context: Context) -> int:
    if context.args:
        raise Failed(BAD_ARGUMENTS, "No arguments accepted")
    try:
        answer = accounts.cluster_of(context).ask("GET", _place(""))
        documents.check_status(answer, 200)
        listed = documents.objects(documents.read(answer.body), "roles")
        names = [documents.text(each, "role") for each in listed]
    except ClusterError as error:
        raise documents.refused(error) from None
    for name in names:
        context.say(name)
    return 0


def _get(context: Context) -> int:
    name, cluster = _name_and_cluster(context)
    try:
        role = _role(cluster.ask("GET", _place(name)))
    except ClusterError as error:
        raise documents.refused(error) from None
    for line in role.lines():
        context.say(line)
    return 0


def _add(context: Context) -> int:
    name, cluster = _name_and_cluster(context)
    deadline = cluster.deadline()
    try:
        _role(cluster.ask("GET", _place(name), deadline=deadline))
    except ClusterError:
        pass  # the server says why if it cannot be added either
    else:
        raise Failed(BAD_ARGUMENTS, f"Role {name} already exists")
    document = {"role": name, "permissions": _permissions(None, None)}
    try:
        accounts.put(
            cluster, _place(name), document, accepted=(200, 201), deadline=deadline
        )
    except ClusterError as error:
        raise documents.refused(error) from None
    context.say(f"Role {name} created")
    return 0


def _remove(context: Context) -> int:
    name, cluster = _name_and_cluster(context)
    accounts.remove(cluster, _place(name))
    context.say(f"Role {name} removed")
    return 0


def _grant(context: Context) -> int:
    return _change(context, "grant", "granted")


def _revoke(context: Context) -> int:
    return _change(context, "revoke", "revoked")


def _change(context: Context, verb: str, done: str) -> int:
    """:param verb: also the name of the field that says it to the server."""
    path = checked_path(context.text("path"))
    kinds = [kind for kind in ("read", "write", "readwrite") if context.on(kind)]
    if len(kinds) != 1:
        raise Failed(
            BAD_ARGUMENTS,
            "Please specify exactly one of --read, --write or --readwrite",
        )
    (kind,) = kinds
    asked = _permissions(
        [path] if kind.startswith("read") else None,
        [path] if kind.endswith("write") else None,
    )
    name, cluster = _name_and_cluster(context)
    deadline = cluster.deadline()
    document = {"role": name, "permissions": _permissions(None, None), verb: asked}
    try:
        before = _role(cluster.ask("GET", _place(name), deadline=deadline))
        after = _role(accounts.put(cluster, _place(name), document, deadline=deadline))
    except ClusterError as error:
        raise documents.refused(error) from None
    if after == before:
        context.say(f"Role unchanged; already {done}")
    context.say(f"Role {name} updated")
    return 0


def checked_path(path: str) -> str:
    """
    The path, which must be given as the server would have it.

    :raises Failed: it is not; the right one is told.
    """
    if not path:
        raise Failed(BAD_ARGUMENTS, "No path specified; please use `--path`")
    given = path.encode("utf-8", "surrogateescape")
    clean = golang.clean_path(given)
    if clean != given:
        shown = clean.decode("utf-8", "surrogateescape")
        raise Failed(BAD_ARGUMENTS, f"Not canonical path; please use `--path={shown}`")
    return path


def _name_and_cluster(context: Context) -> tuple[str, Cluster]:
    """:raises Failed: there is not one name."""
    if len(context.args) != 1:
        raise Failed(BAD_ARGUMENTS, "Please provide a role name")
    return context.args[0], accounts.cluster_of(context)


def _permissions(
    read: Sequence[str] | None, write: Sequence[str] | None
) -> dict[str, Any]:  # JSON
    return {"kv": {"read": read, "write": write}}


def _role(answer: Answer) -> Role:
    """:raises BadAnswer: it is none; with the server's words if it says why."""
    documents.check_accepted(answer, (200,))
    document = documents.read(answer.body)
    patterns = documents.inner(documents.inner(document, "permissions"), "kv")
    return Role(
        documents.text(document, "role"),
        _patterns(patterns, "read"),
        _patterns(patterns, "write"),
    )


def _patterns(document: dict[str, Any], name: str) -> tuple[str, ...] | None:  # JSON
    """:raises BadAnswer: they are none."""
    found = tuple(documents.texts(document, name))
    return None if document.get(name) is None else found


def _place(name: str) -> str:
    return accounts.place("roles", name)


_PERMISSION: Final = (
    Flag(("path",), "a key, or the beginning of keys and an asterisk", Kind.TEXT),
    Flag(("read",), "to read it"),
    Flag(("write",), "to write it"),
    Flag(("readwrite", "rw"), "both"),
)

COMMANDS: Final = (
    Command(
        "role",
        "what users may read and write",
        subcommands=(
            Command("add", "create a role, which may do nothing yet", _add, "<role>"),
            Command("get", "show a role's patterns", _get, "<role>"),
            Command("list", "list all roles", _list),
            Command("remove", "remove a role", _remove, "<role>"),
            Command(
                "grant",
                "let those who have a role read or write a path",
                _grant,
                "<role>",
                _PERMISSION,
            ),
            Command(
                "revoke",
                "let them no longer",
                _revoke,
                "<role>",
                _PERMISSION,
            ),
        ),
    ),
)
