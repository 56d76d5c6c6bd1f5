"""``kvctl member``: who belongs to the cluster, and who shall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from kvd import golang
from kvd.kvctl import documents
from kvd.kvctl.cluster import MEMBERS, Cluster
from kvd.kvctl.command import Command
from kvd.kvctl.context import Context
from kvd.kvctl.endpoint import target_of
from kvd.kvctl.errors import BAD_ARGUMENTS, AllFailed, ClusterError, Failed
from kvd.kvctl.wire import JSON

_LEADER: Final = f"{MEMBERS}/leader"
_ABOUT_REMOVAL: Final = (
    "For more details, read the documentation at https://github.com/etcd-io/etcd/blob/"
    "master/Documentation/runtime-configuration.md#remove-a-member\n"
)
_IF_REFUSED: Final = (
    "members say this, too, when they refuse a change that would leave too few of them "
    "running (strict-reconfig-check)"
)


class Member(NamedTuple):
    """
    One member, as the cluster has it in its list.

    :ivar id: hexadecimal.
    :ivar name: empty until it has started for the first time.
    """

    id: str
    name: str = ""
    peer_urls: tuple[str, ...] = ()
    client_urls: tuple[str, ...] = ()

    def line(self, *, leads: bool) -> str:
        """As ``member list`` shows it."""
        peer_urls = ",".join(self.peer_urls)
        if not self.name:
            return f"{self.id}[unstarted]: peerURLs={peer_urls}"
        return (
            f"{self.id}: name={self.name} peerURLs={peer_urls} "
            f"clientURLs={','.join(self.client_urls)} isLeader={str(leads).lower()}"
        )


def members(cluster: Cluster, deadline: float | None = None) -> list[Member]:
    """
    All members, by their ids.

    :raises ClusterError: nobody answered, or not with that list.
    """
    answer = cluster.ask("GET", MEMBERS, deadline=deadline)
    documents.check_status(answer, 200)
    listed = documents.objects(documents.read(answer.body), "members")
    return [_member(each) for each in listed]


def environment(name: str, added: Member, listed: Sequence[Member]) -> list[str]:
    """
    What a new member is started with.

    :param name: its own, which the cluster does not know yet.
    """
    founders = ",".join(
        f"{name if each.id == added.id else each.name}={url}"
        for each in listed
        for url in each.peer_urls
    )
    return [
        f"ETCD_NAME={_quoted(name)}",
        f"ETCD_INITIAL_CLUSTER={_quoted(founders)}",
        'ETCD_INITIAL_CLUSTER_STATE="existing"',
    ]


def _list(context: Context) -> int:
    if context.args:
        raise Failed(BAD_ARGUMENTS, "No arguments accepted")
    cluster = context.cluster
    deadline = cluster.deadline()
    try:
        listed = members(cluster, deadline)
    except ClusterError as error:
        raise documents.refused(error) from None
    try:
        answer = cluster.ask("GET", _LEADER, deadline=deadline)
        documents.check_status(answer, 200)
        leader = _member(documents.read(answer.body))
    except ClusterError as error:
        raise documents.refused(error, "Failed to get leader:  ") from None
    for each in listed:
        context.say(each.line(leads=each.id == leader.id))
    return 0


def _add(context: Context) -> int:
    if len(context.args) != 2:
        raise Failed(BAD_ARGUMENTS, "Provide a name and a single member peerURL")
    name, url = context.args
    cluster = context.cluster
    deadline = cluster.deadline()
    body = _urls(url)
    try:
        answer = cluster.ask(
            "POST", MEMBERS, body=body, content_type=JSON, deadline=deadline
        )
        documents.check_status(answer, 201, 409)
        documents.check_accepted(answer, (201,))
        added = _member(documents.read(answer.body))
        context.say(f"Added member named {name} with ID {added.id} to cluster")
        listed = members(cluster, deadline)
    except ClusterError as error:
        raise _not_changed(error) from None
    context.say("")
    for line in environment(name, added, listed):
        context.say(line)
    return 0


def _remove(context: Context) -> int:
    if len(context.args) != 1:
        raise Failed(BAD_ARGUMENTS, "Provide a single member ID")
    (given,) = context.args
    cluster = context.cluster
    deadline = cluster.deadline()
    try:
        listed = members(cluster, deadline)
    except ClusterError as error:
        before = "Error while verifying ID against known members: "
        raise documents.refused(error, before) from None
    for each in listed:
        if each.name == given:
            context.warn(
                f"Found a member named {given}; if this is correct, please use its "
                f"ID, eg:\n\t{context.path[0].name} member remove {each.id}\n{_ABOUT_REMOVAL}"
            )
    if given not in {each.id for each in listed}:
        raise Failed(
            BAD_ARGUMENTS,
            f"Couldn't find a member in the cluster with an ID of {given}.",
        )
    try:
        answer = cluster.ask("DELETE", _place(given), deadline=deadline)
        documents.check_status(answer, 204, 410)
    except ClusterError as error:
        before = f"Received an error trying to remove member {given}: "
        raise _not_changed(error, before) from None
    context.say(f"Removed member {given} from cluster")
    return 0


def _update(context: Context) -> int:
    if len(context.args) != 2:
        raise Failed(
            BAD_ARGUMENTS,
            "Provide an ID and a list of comma separated peerURL "
            "(0xabcd http://example.com,http://example1.com)",
        )
    given, urls = context.args
    cluster = context.cluster
    body = _urls(*urls.split(","))
    try:
        answer = cluster.ask("PUT", _place(given), body=body, content_type=JSON)
        documents.check_status(answer, 204, 404, 409)
        documents.check_accepted(answer, (204,))
    except ClusterError as error:
        raise _not_changed(error) from None
    context.say(f"Updated member with ID {given} in cluster")
    return 0


def _member(document: dict[str, Any]) -> Member:  # JSON
    """:raises BadAnswer: it is none."""
    return Member(
        documents.text(document, "id"),
        documents.text(document, "name"),
        tuple(documents.texts(document, "peerURLs")),
        tuple(documents.texts(document, "clientURLs")),
    )


def _urls(*given: str) -> bytes:
    """
    The body of a request with peer URLs.

    :raises Failed: one of them cannot be one; the servers never say why.
    """
    from kvd.urls import BadUrlError, peer_urls  # noqa: PLC0415 -- takes its time

    try:
        return documents.written({"peerURLs": peer_urls(given)}).encode()
    except BadUrlError as error:
        raise Failed(BAD_ARGUMENTS, str(error)) from None


def _not_changed(error: ClusterError, before: str = "") -> Failed:
    """A refusal looks like the lack of a leader: both have the status 500."""
    had_answers = isinstance(error, AllFailed) and not error.connection
    return documents.refused(error, before, _IF_REFUSED if had_answers else "")


def _place(member_id: str) -> str:
    return target_of(f"{MEMBERS}/{member_id}")


def _quoted(text: str) -> str:
    return golang.quote(text.encode("utf-8", "surrogateescape"))


COMMANDS: Final = (
    Command(
        "member",
        "who belongs to the cluster",
        subcommands=(
            Command("list", "list the members, and who leads", _list),
            Command(
                "add",
                "take a new member in, before it is started",
                _add,
                "<name> <peerURL>",
            ),
            Command(
                "remove",
                "remove a member, which then stops",
                _remove,
                "<memberID>",
            ),
            Command(
                "update",
                "change the URLs at which others reach a member",
                _update,
                "<memberID> <peerURLs>",
            ),
        ),
    ),
)
