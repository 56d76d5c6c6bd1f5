"""Errors of the keys API as answers (V2-SPEC 9 and 14)."""

from __future__ import annotations

from kvd.errors import RequestError, Unavailable
from kvd.http.exchange import Response
from kvd.http.render import error_json

RAFT_INTERNAL_ERROR = 300
UNAUTHORISED = 110

# code: HTTP status, message
ERRORS = {
    100: (404, "Key not found"),
    101: (412, "Compare failed"),
    102: (403, "Not a file"),
    104: (400, "Not a directory"),
    105: (412, "Key already exists"),
    107: (400, "Root is read only"),
    108: (403, "Directory not empty"),
    UNAUTHORISED: (401, "The request requires user authentication"),
    201: (400, "PrevValue is Required in POST form"),
    202: (400, "The given TTL in POST form is not a number"),
    203: (400, "The given index in POST form is not a number"),
    209: (400, "Invalid field"),
    210: (400, "Invalid POST form"),
    211: (400, "Value provided on refresh"),
    212: (400, "A TTL must be provided on refresh"),
    RAFT_INTERNAL_ERROR: (500, "Raft Internal Error"),
    301: (500, "During Leader Election"),
    400: (400, "watcher is cleared due to etcd recovery"),
    401: (400, "The event in requested index is outdated and cleared"),
}


def error_response(error: RequestError, cluster_id: str) -> Response:
    """
    :param cluster_id: in hexadecimal, as headers show it.
    """
    status, message = ERRORS[error.code]
    return Response(
        status,
        b"Content-Type: application/json\r\n"
        b"X-Etcd-Cluster-Id: %b\r\nX-Etcd-Index: %d\r\n"
        % (cluster_id.encode("ascii"), error.index),
        error_json(error.code, message, error.cause, error.index),
    )


def unavailable_response(error: Unavailable, cluster_id: str) -> Response:
    """Always 5xx, because nobody can say whether it took or may still take effect."""
    cause = f"etcdserver: {error.reason.value}"
    return error_response(RequestError(RAFT_INTERNAL_ERROR, cause), cluster_id)
