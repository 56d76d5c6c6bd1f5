"""What the commands on keys share: a key, a value, and the one request that they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote_plus

from kvd.kvctl.context import Context
from kvd.kvctl.endpoint import target_of
from kvd.kvctl.errors import (
    BAD_ARGUMENTS,
    SERVER_ERROR,
    ClusterError,
    KeysRefused,
    failed,
)
from kvd.kvctl.node import Response, response_of
from kvd.kvctl.wire import FORM

KEYS: Final = "/v2/keys"


def key_of(context: Context) -> str:
    """
    The first argument.

    :raises Failed: there is none.
    """
    if not context.args:
        raise failed(BAD_ARGUMENTS, "key required")
    return context.args[0]


def value_of(context: Context) -> str:
    """
    The second argument, or all of standard input, as it is.

    :raises Failed: neither.
    """
    if len(context.args) > 1:
        return context.args[1]
    try:
        value = context.streams.stdin.read()
    except OSError:
        value = b""  # a folder, for example
    if not value:
        raise failed(BAD_ARGUMENTS, "value required")
    return value.decode("utf-8", "surrogateescape")


def form(fields: Mapping[str, str]) -> str:
    """Fields as they are sent, in the order of their names."""
    return "&".join(
        f"{name}={quote_plus(fields[name].encode('utf-8', 'surrogateescape'))}"
        for name in sorted(fields)
    )


def target(key: str, query: Mapping[str, str] | None = None) -> str:
    """Where a key is asked for."""
    path = target_of(f"{KEYS}{'' if key.startswith('/') or not key else '/'}{key}")
    return f"{path}?{form(query)}" if query else path


def ask(
    context: Context,
    method: str,
    where: str,
    fields: Mapping[str, str] | None = None,
    *,
    once: bool = False,
) -> Response:
    """
    Put one request to the cluster.

    :param fields: of a form in its body.
    :param once: not to be repeated at another endpoint.
    :raises Failed: nobody answered, or the server refused it.
    """
    body = None if fields is None else form(fields).encode("ascii")
    content_type = FORM if method in {"PUT", "POST", "DELETE"} else ""
    try:
        answer = context.cluster.ask(
            method, where, body=body, content_type=content_type, once=once
        )
        return response_of(answer)
    except (ClusterError, KeysRefused) as error:
        raise failed(SERVER_ERROR, error) from None
