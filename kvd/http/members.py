"""``/v2/members`` and ``/v2/machines``: who belongs to the cluster (V2-SPEC 10, 13)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from kvd.cluster.codec import encode_record
from kvd.cluster.ids import member_id_of
from kvd.cluster.members import MemberRecord, RefusalReason, RefusedChange
from kvd.errors import ReconfigurationRefused, Unavailable, invariant
from kvd.http import answers
from kvd.http.exchange import Request, Response
from kvd.http.memberform import BadFormError, read_member_id, read_peer_urls
from kvd.http.render import encode, quoted
from kvd.http.store import ClusterView
from kvd.node.interfaces import Applied, Member
from kvd.raft.messages import ChangeKind, ConfigChange

PREFIX = "/v2/members"
ALLOWED = ("GET", "POST", "DELETE", "PUT")
_SECOND_NS = 1_000_000_000
_CONFLICTS = {
    RefusalReason.ID_EXISTS: "membership: ID exists",
    RefusalReason.PEER_URL_EXISTS: "membership: peerURL exists",
}


class Members:
    """
    The members API of one member.

    A change is asked for once. What the client is told when it failed does not say
    why, as etcd's does not; the log does.

    :param join_as_voter: a new member votes at once; else it learns first.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        member: Member,
        cluster: ClusterView,
        wall_time_ns: Callable[[], int],
        json_depth_max: int,
        join_as_voter: bool,
    ) -> None:
        self._member = member
        self._cluster = cluster
        self._wall_time_ns = wall_time_ns
        self._json_depth_max = json_depth_max
        self._joins_as = (
            ChangeKind.ADD_VOTER if join_as_voter else ChangeKind.ADD_LEARNER
        )
        self._cluster_id = f"X-Etcd-Cluster-Id: {member.cluster_id:x}\r\n".encode()

    def answer(self, request: Request, user: str = "") -> Response | Deferred[Response]:
        """
        For every method and sub-path.

        :param user: who is known to ask, for the log.
        """
        if request.method not in ALLOWED:
            return answers.method_not_allowed(ALLOWED)
        rest = request.path[len(PREFIX) :].removeprefix("/")
        if request.method == "GET":
            return self._get(rest)
        who = f"{user or 'a client'} at {request.client.address}"
        try:
            if request.method == "POST":
                return self._add(request, who)
            if not rest:
                return answers.plain_error(405, "Method Not Allowed", self._cluster_id)
            if request.method == "PUT":
                return self._update(read_member_id(rest), request, who)
            return self._remove(read_member_id(rest), who)
        except BadFormError as error:
            return self._message(error.status, error.text)

    def machines(self) -> Response:
        """All client URLs, as old clients ask for them."""
        urls = sorted(
            url for member in self._cluster.members() for url in member.client_urls
        )
        return answers.sniffed_text(encode(", ".join(urls)))

    def _get(self, rest: str) -> Response:
        if not rest:
            shown = ",".join(_member_json(each) for each in self._cluster.members())
            return self._json(200, f'{{"members":[{shown}]}}\n')
        if rest != "leader":
            return self._message(404, "Not found")
        leader = self._cluster.member(self._member.status().leader)
        if leader is None:
            return self._message(503, "During election")
        return self._json(200, f"{_member_json(leader)}\n")

    # -- changes ------------------------------------------------------------------------

    def _add(self, request: Request, who: str) -> Deferred[Response]:
        urls = read_peer_urls(request, json_depth_max=self._json_depth_max)
        seconds = self._wall_time_ns() // _SECOND_NS
        record = MemberRecord(member_id_of(urls, str(seconds)), "", urls, ())

        def done(value: object) -> Response:
            if isinstance(value, MemberRecord):
                return self._json(201, f"{_member_json(record)}\n")
            return self._refused(value, what)

        what = f"{who} asked to add a member at {','.join(urls)}"
        return self._change(self._joins_as, record, what, done)

    def _update(self, member_id: int, request: Request, who: str) -> Deferred[Response]:
        urls = read_peer_urls(request, json_depth_max=self._json_depth_max)
        record = MemberRecord(member_id, "", urls, ())
        what = f"{who} asked to move member {member_id:x} to {','.join(urls)}"
        return self._change(ChangeKind.UPDATE, record, what, self._done(what))

    def _remove(self, member_id: int, who: str) -> Deferred[Response]:
        record = MemberRecord(member_id, "", (), ())
        what = f"{who} asked to remove member {member_id:x}"

        def done(value: object) -> Response:
            if value == RefusedChange(RefusalReason.REMOVED, member_id):
                return self._message(410, f"Member permanently removed: {member_id:x}")
            return self._done(what)(value)

        return self._change(ChangeKind.REMOVE, record, what, done)

    def _change(
        self,
        kind: ChangeKind,
        record: MemberRecord,
        what: str,
        done: Callable[[object], Response],
    ) -> Deferred[Response]:
        """
        :param what: was asked for by whom, in words for the log.
        :param done: makes an answer of what the cluster machine said.
        """
        if not record.member_id:  # nobody's
            return succeed(done(RefusedChange(RefusalReason.NOT_FOUND, 0)))
        context = b"" if kind is ChangeKind.REMOVE else encode_record(record)
        change = ConfigChange(kind, record.member_id, context)

        def applied(applied: Applied) -> Response:
            return done(applied.value)

        def failed(failure: Failure) -> Response:
            error = failure.value
            if not isinstance(error, ReconfigurationRefused | Unavailable):
                return failure  # type: ignore[return-value]  # goes on as such
            return self._internal_error(what, _why(error))

        return self._member.reconfigure(change).addCallbacks(applied, failed)

    def _done(self, what: str) -> Callable[[object], Response]:
        """For a change whose answer is that it was done."""

        def done(value: object) -> Response:
            if isinstance(value, MemberRecord):
                return Response(204, self._cluster_id, b"", framed=False)
            return self._refused(value, what)

        return done

    def _refused(self, value: object, what: str) -> Response:
        """Every member refused it alike, so nothing was changed."""
        invariant(isinstance(value, RefusedChange), "a change has a member or a reason")
        assert isinstance(value, RefusedChange)  # noqa: S101 -- for the type checker
        if value.reason in _CONFLICTS:
            return self._message(409, _CONFLICTS[value.reason])
        if value.reason is RefusalReason.NOT_FOUND:
            return self._message(404, f"No such member: {value.member_id:x}")
        return self._internal_error(what, value.reason.value)

    def _internal_error(self, what: str, why: str) -> Response:
        self._log.warn("{what}: {why}", what=what, why=why)
        return self._message(500, "Internal Server Error")

    def _message(self, status: int, text: str) -> Response:
        return answers.message(status, text, self._cluster_id)

    def _json(self, status: int, document: str) -> Response:
        return Response(status, answers.JSON + self._cluster_id, encode(document))


def _why(error: BaseException) -> str:
    if isinstance(error, Unavailable):
        then = "it may still be done" if error.may_take_effect else "nothing was done"
        return f"{error}; {then}"
    return f"{error}; nothing was done"


def _member_json(member: MemberRecord) -> str:
    return (
        f'{{"id":"{member.member_id:x}","name":{quoted(member.name)},'
        f'"peerURLs":{_list_json(member.peer_urls)},'
        f'"clientURLs":{_list_json(member.client_urls)}}}'
    )


def _list_json(texts: Iterable[str]) -> str:
    return "[" + ",".join(quoted(text) for text in texts) + "]"
