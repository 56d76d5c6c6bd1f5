"""Answers as values, or as errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from kvd.client.errors import BadAnswer, KeysError, Refused, keys_error
from kvd.client.values import Event, Member, Node, Response, Role, User, Version
from kvd.client.wire import Answer

T = TypeVar("T")
_Document = Mapping[str, Any]  # JSON: what a key holds is checked where it is taken


def response_of(answer: Answer) -> Response:
    """
    What was done to a key.

    :raises KeysError: what the server says instead.
    :raises BadAnswer:
    """
    if answer.status not in {200, 201}:
        raise _refusal(answer)
    return _read(answer, lambda found: _response(found, answer))


def event_of(answer: Answer) -> Event | None:
    """What a watch has seen; None: the server let go of it."""
    if answer.status != 200:
        raise _refusal(answer)
    return _read(answer, _event) if answer.body.strip() else None


def index_of(answer: Answer) -> int:
    """The store's index when the request was understood; 0: it does not say."""
    said = answer.headers.get("x-etcd-index", "")
    return int(said) if said.isdecimal() else 0


def accepted(answer: Answer) -> Answer:
    """
    An answer of the other APIs which is not a refusal.

    :raises Refused:
    """
    if answer.status // 100 != 2:
        raise Refused(answer.status, _message(answer))
    return answer


def document_of(answer: Answer) -> dict[str, Any]:  # a page of numbers and texts
    """A page as it is, such as the statistics."""
    return _read(accepted(answer), dict)


def members_of(answer: Answer) -> tuple[Member, ...]:
    """The list of members."""
    return _read(
        accepted(answer),
        lambda found: tuple(_member(each) for each in found["members"]),
    )


def member_of(answer: Answer) -> Member:
    """One member."""
    return _read(accepted(answer), _member)


def version_of(answer: Answer) -> Version:
    """The two versions."""
    return _read(
        accepted(answer),
        lambda found: Version(_text(found["etcdserver"]), _text(found["etcdcluster"])),
    )


def users_of(answer: Answer) -> tuple[User, ...]:
    """All users."""
    return _read(
        accepted(answer),
        lambda found: tuple(_user(each) for each in found["users"] or ()),
    )


def user_of(answer: Answer) -> User:
    """One user."""
    return _read(accepted(answer), _user)


def roles_of(answer: Answer) -> tuple[Role, ...]:
    """All roles."""
    return _read(
        accepted(answer),
        lambda found: tuple(_role(each) for each in found["roles"] or ()),
    )


def role_of(answer: Answer) -> Role:
    """One role."""
    return _read(accepted(answer), _role)


def enabled_of(answer: Answer) -> bool:
    """Whether the switch of authentication is on."""
    return _read(accepted(answer), lambda found: found["enabled"] is True)


def healthy_of(answer: Answer) -> bool:
    """Whether a member says that it is healthy."""
    return _read(answer, lambda found: found["health"] in {"true", True})


def _read(answer: Answer, take: Callable[[_Document], T]) -> T:
    try:
        return take(json.loads(answer.body))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise BadAnswer(answer.endpoint, "an answer of no v2 server") from None


def _refusal(answer: Answer) -> KeysError | Refused:
    try:
        found = json.loads(answer.body)
        return keys_error(
            int(found["errorCode"]),
            _text(found["message"]),
            _text(found.get("cause", "")),
            int(found["index"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Refused(answer.status, _message(answer))


def _message(answer: Answer) -> str:
    try:
        return _text(json.loads(answer.body)["message"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return answer.body[:200].decode(errors="replace").strip()


def _response(found: _Document, answer: Answer) -> Response:
    number = answer.headers.get
    return Response(
        event=_event(found),
        created=answer.status == 201,
        etcd_index=int(number("x-etcd-index", "0")),
        raft_index=int(number("x-raft-index", "0")),
        raft_term=int(number("x-raft-term", "0")),
        cluster_id=number("x-etcd-cluster-id", ""),
        endpoint=answer.endpoint,
    )


def _event(found: _Document) -> Event:
    before = found.get("prevNode")
    return Event(
        _text(found["action"]),
        _node(found["node"]),
        None if before is None else _node(before),
    )


def _node(found: _Document) -> Node:
    value = found.get("value")
    ttl = found.get("ttl")
    return Node(
        key=_text(found.get("key", "/")),
        value=None if value is None else _text(value),
        dir=found.get("dir", False) is True,
        expiration=found.get("expiration"),
        ttl=None if ttl is None else int(ttl),
        nodes=tuple(_node(each) for each in found.get("nodes") or ()),
        modified_index=int(found.get("modifiedIndex", 0)),
        created_index=int(found.get("createdIndex", 0)),
    )


def _member(found: _Document) -> Member:
    return Member(
        _text(found["id"]),
        _text(found["name"]),
        _texts(found["peerURLs"]),
        _texts(found["clientURLs"]),
    )


def _user(found: _Document) -> User:
    """A user's roles are names in some answers, and whole roles in others."""
    return User(
        _text(found["user"]),
        tuple(
            each if isinstance(each, str) else _text(each["role"])
            for each in found.get("roles") or ()
        ),
    )


def _role(found: _Document) -> Role:
    kept = (found.get("permissions") or {}).get("kv") or {}
    return Role(
        _text(found["role"]), _texts(kept.get("read")), _texts(kept.get("write"))
    )


def _texts(found: Sequence[object] | None) -> tuple[str, ...]:
    return tuple(map(_text, found or ()))


def _text(found: object) -> str:
    if not isinstance(found, str):
        raise TypeError("not a text")
    return found
