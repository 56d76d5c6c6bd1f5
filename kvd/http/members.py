"""``/v2/members`` and ``/v2/machines``: who belongs to the cluster (V2-SPEC 10, 13)."""

from __future__ import annotations

from collections.abc import Iterable

from kvd.cluster.members import MemberRecord
from kvd.http import answers, documents
from kvd.http.bodies import TOO_LARGE
from kvd.http.exchange import Request, Response
from kvd.http.render import encode, quoted
from kvd.http.store import ClusterView
from kvd.node.interfaces import Member

PREFIX = "/v2/members"
ALLOWED = ("GET", "POST", "DELETE", "PUT")
# Hundreds of URLs; what is wrong with JSON is not found quickly.
BODY_BYTES_MAX = 64 << 10
_JSON_TYPE = "application/json"


class Members:
    """The members API; lists and the leader so far, changes are answered with 501."""

    def __init__(
        self, *, member: Member, cluster: ClusterView, json_depth_max: int
    ) -> None:
        self._member = member
        self._cluster = cluster
        self._json_depth_max = json_depth_max
        self._cluster_id = f"X-Etcd-Cluster-Id: {member.cluster_id:x}\r\n".encode()

    def answer(self, request: Request) -> Response:
        """For every method and sub-path."""
        if request.method not in ALLOWED:
            return answers.method_not_allowed(ALLOWED)
        rest = request.path[len(PREFIX) :]
        if request.method == "GET":
            return self._get(rest)
        if request.method == "POST":
            refused = self._refused_body(request)
            if refused is not None:
                return refused
        elif rest in {"", "/"}:
            return answers.plain_error(405, "Method Not Allowed", self._cluster_id)
        return answers.message(
            501, "kvd does not change its membership yet", self._cluster_id
        )

    def machines(self) -> Response:
        """All client URLs, as old clients ask for them."""
        urls = sorted(
            url for member in self._cluster.members() for url in member.client_urls
        )
        return answers.sniffed_text(encode(", ".join(urls)))

    def _get(self, rest: str) -> Response:
        if rest in {"", "/"}:
            shown = ",".join(_member_json(each) for each in self._cluster.members())
            return self._json(f'{{"members":[{shown}]}}\n')
        if rest != "/leader":
            return answers.message(404, "Not found", self._cluster_id)
        leader = self._cluster.member(self._member.status().leader)
        if leader is None:
            return answers.message(503, "During election", self._cluster_id)
        return self._json(f"{_member_json(leader)}\n")

    def _refused_body(self, request: Request) -> Response | None:
        """What is wrong with a body that should describe a member, if anything."""
        if request.form_problem:
            too_large = request.form_problem == TOO_LARGE
            status, text = 400, request.form_problem
            if too_large:
                status, text = 413, "request body too large"
            return answers.message(status, text, self._cluster_id)
        shown = request.block.get(b"content-type").decode("utf-8", "surrogateescape")
        kind = shown
        if ";" in shown:
            kind = shown.partition(";")[0].strip().lower()
        if kind != _JSON_TYPE:
            return answers.message(
                415, f"Bad Content-Type {kind}, accept {_JSON_TYPE}", self._cluster_id
            )
        try:
            documents.read(request.body, depth_max=self._json_depth_max)
        except documents.BadDocumentError as error:
            return answers.message(400, str(error), self._cluster_id)
        return None

    def _json(self, document: str) -> Response:
        return Response(200, answers.JSON + self._cluster_id, encode(document))


def _member_json(member: MemberRecord) -> str:
    return (
        f'{{"id":"{member.member_id:x}","name":{quoted(member.name)},'
        f'"peerURLs":{_list_json(member.peer_urls)},'
        f'"clientURLs":{_list_json(member.client_urls)}}}'
    )


def _list_json(texts: Iterable[str]) -> str:
    return "[" + ",".join(quoted(text) for text in texts) + "]"
