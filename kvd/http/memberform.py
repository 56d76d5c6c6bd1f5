"""What a request to change the members says, and what is wrong with it (V2-SPEC 10)."""

from __future__ import annotations

import re

from kvd import urls
from kvd.http import documents
from kvd.http.bodies import TOO_LARGE
from kvd.http.exchange import Request

# Hundreds of URLs; what is wrong with JSON is not found quickly.
BODY_BYTES_MAX = 64 << 10
_JSON_TYPE = "application/json"
# The type shows in what Go says of a document that is no object.
_BODY = documents.Struct(
    'struct { PeerURLs []string "json:\\"peerURLs\\"" }',
    {"peerURLs": documents.Kind.TEXTS},
)
_ID = re.compile("0*([0-9a-fA-F]{1,16})", re.ASCII)


class BadFormError(Exception):
    """The request cannot be carried out as it stands; the text is for the client."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def read_peer_urls(request: Request, *, json_depth_max: int) -> tuple[str, ...]:
    """
    The member's URLs, in order.

    :raises BadFormError: for the first thing that is wrong.
    """
    shown = request.block.get(b"content-type").decode("utf-8", "surrogateescape")
    kind = shown
    if ";" in shown:
        kind = shown.partition(";")[0].strip().lower()
    if kind != _JSON_TYPE:
        raise BadFormError(415, f"Bad Content-Type {kind}, accept {_JSON_TYPE}")
    if request.form_problem == TOO_LARGE:
        raise BadFormError(413, "request body too large")
    if request.form_problem:
        raise BadFormError(400, request.form_problem)
    try:
        document = documents.read(request.body, depth_max=json_depth_max)
        given = documents.fields_of(document, _BODY).texts("peerURLs")
        return urls.peer_urls(given or ())
    except (documents.BadDocumentError, urls.BadUrlError) as error:
        raise BadFormError(400, str(error)) from error


def read_member_id(text: str) -> int:
    """
    The id of a path.

    :raises BadFormError: it is none, so no member has it.
    """
    found = _ID.fullmatch(text)
    if found is None:
        raise BadFormError(404, f"No such member: {text}")
    return int(found[1], 16)
