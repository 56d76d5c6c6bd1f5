"""``kvctl user``: who may ask, with which password and in which roles."""

from __future__ import annotations

from typing import Any, Final

from kvd.kvctl import accounts, documents
from kvd.kvctl.cluster import Cluster
from kvd.kvctl.command import Command
from kvd.kvctl.context import Context
from kvd.kvctl.errors import BAD_ARGUMENTS, ClusterError, Failed
from kvd.kvctl.flags import Flag, Kind
from kvd.kvctl.prompt import ask_password

_NEW_PASSWORD: Final = "New password: "  # noqa: S105 -- a prompt


def _list(context: Context) -> int:
    if context.args:
        raise Failed(BAD_ARGUMENTS, "No arguments accepted")
    try:
        answer = accounts.cluster_of(context).ask("GET", _place(""))
        documents.check_accepted(answer, (200,))
        listed = documents.objects(documents.read(answer.body), "users")
        names = [documents.text(each, "user") for each in listed]
    except ClusterError as error:
        raise documents.refused(error) from None
    for name in names:
        context.say(name)
    return 0


def _get(context: Context) -> int:
    cluster, name = _cluster_and_name(context)
    try:
        answer = cluster.ask("GET", _place(name))
        documents.check_accepted(answer, (200,))
        found = documents.read(answer.body)
        user = documents.text(found, "user")
        roles = _roles(found)
    except ClusterError as error:
        raise documents.refused(error) from None
    context.say(f"User: {user}")
    context.say(f"Roles: {' '.join(roles)}")
    return 0


def _add(context: Context) -> int:
    cluster, given = _cluster_and_name(context)
    name, colon, password = given.partition(":")
    if not colon:
        password = ask_password(context.streams, _NEW_PASSWORD)
    try:
        accounts.put(
            cluster, _place(name), _with_password(name, password), accepted=(200, 201)
        )
    except ClusterError as error:
        raise documents.refused(error) from None
    context.say(f"User {name} created")
    return 0


def _passwd(context: Context) -> int:
    cluster, name = _cluster_and_name(context)
    password = ask_password(context.streams, _NEW_PASSWORD)
    _check_exists(cluster, name)
    _change(cluster, name, _with_password(name, password))
    context.say("Password updated")
    return 0


def _remove(context: Context) -> int:
    cluster, name = _cluster_and_name(context)
    accounts.remove(cluster, _place(name))
    context.say(f"User {name} removed")
    return 0


def _grant(context: Context) -> int:
    return _change_roles(context, "grant")


def _revoke(context: Context) -> int:
    return _change_roles(context, "revoke")


def _change_roles(context: Context, verb: str) -> int:
    """:param verb: also the name of the field that says it to the server."""
    roles = context.texts("roles")
    if not roles:
        raise Failed(BAD_ARGUMENTS, "No roles specified; please use `--roles`")
    cluster, name = _cluster_and_name(context)
    _change(cluster, name, {"user": name, "roles": None, verb: roles})
    context.say(f"User {name} updated")
    return 0


def _cluster_and_name(context: Context) -> tuple[Cluster, str]:
    """:raises Failed: there is not one name."""
    if len(context.args) != 1:
        raise Failed(BAD_ARGUMENTS, "Please provide a username")
    return accounts.cluster_of(context), context.args[0]


def _change(
    cluster: Cluster,
    name: str,
    document: dict[str, Any],  # JSON
) -> None:
    """
    Write a user that exists.

    :raises Failed: with the server's words, or it does not say what became of the user.
    """
    try:
        documents.read(accounts.put(cluster, _place(name), document).body)
    except ClusterError as error:
        raise documents.refused(error) from None


def _with_password(name: str, password: str) -> dict[str, Any]:  # JSON
    given = {"password": password} if password else {}
    return {"user": name, **given, "roles": None}


def _check_exists(cluster: Cluster, name: str) -> None:
    """
    The server would create a user that does not exist, and etcdctl then fails without a
    word: this is not what somebody wants who mistyped a name.

    :raises Failed: with the server's words.
    """
    try:
        answer = cluster.ask("GET", _place(name))
        if answer.status == 404:
            said = documents.text(documents.read(answer.body), "message")
            if said.startswith("auth: Role "):  # one of the user's does not exist
                return
        documents.check_accepted(answer, (200,))
    except ClusterError as error:
        raise documents.refused(error) from None


def _roles(user: dict[str, Any]) -> list[str]:  # JSON
    """
    Names of a user's roles, which an answer gives whole.

    etcdctl reads them as names first, gets as many empty ones, and shows those, too: it
    prints a blank for each role. Who cuts the line by its blanks gets what he got.

    :raises BadAnswer: there are others.
    """
    found = documents.items(user, "roles")
    if any(isinstance(each, dict) for each in found):
        whole = documents.objects(user, "roles")
        names = [documents.text(each, "role") for each in whole]
        return [""] * len(names) + names
    return documents.texts(user, "roles")


def _place(name: str) -> str:
    return accounts.place("users", name)


_ROLES: Final = Flag(
    ("roles",), "a role's name; may be given several times", Kind.TEXTS
)

COMMANDS: Final = (
    Command(
        "user",
        "who may ask, and in which roles",
        subcommands=(
            Command(
                "add",
                "create a user; one that exists gets the password",
                _add,
                "<user>[:password]",
            ),
            Command("get", "show a user's roles", _get, "<user>"),
            Command("list", "list all users", _list),
            Command("remove", "remove a user", _remove, "<user>"),
            Command("grant", "give roles to a user", _grant, "<user>", (_ROLES,)),
            Command("revoke", "take roles from a user", _revoke, "<user>", (_ROLES,)),
            Command("passwd", "change a user's password", _passwd, "<user>"),
        ),
    ),
)
