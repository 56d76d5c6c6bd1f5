"""Users and roles of a port under test, without bcrypt where it is not the point."""

from __future__ import annotations

import json
from base64 import b64encode

import bcrypt

from kvd.v2.accounts import PutRole, PutUser
from kvd.v2.authcodec import AuthRequest, Change, Switch, encode_auth_request
from kvd.v2.commands import Asker
from kvd.v2.permissions import Permissions


def hashed(password: str, cost: int = 4) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost, b"2a")).decode()


HASH = hashed("pw")


def change(port, what: Change) -> object:
    """As root, by the log."""
    by = Asker("root", port.auth.index)
    body = encode_auth_request(AuthRequest(by, what))
    return port.auth.apply(index=1, time_ns=0, body=body)


def guard(port) -> None:
    """Root, ann (who may read /a and write /a/*), a guest role, and the switch on."""
    change(port, PutUser("root", HASH))
    change(port, PutRole("a", Permissions(("/a",), ("/a/*",))))
    change(port, PutUser("ann", HASH, roles=("a",)))
    change(port, PutRole("guest", Permissions(("/open",), None)))
    change(port, Switch(True))


def basic(user: str, password: str = "pw") -> str:
    return f"Authorization: Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def ask(port, method: str, target: str, user: str = "", body: object = None):
    """A request with a JSON body; ``user`` may have a password after a colon."""
    headers = ""
    if user:
        name, _, password = user.partition(":")
        headers = f"{basic(name, password or 'pw')}\r\n"
    data = b"" if body is None else json.dumps(body).encode()
    if body is not None:
        headers += f"Content-Length: {len(data)}\r\n"
    head = f"{method} {target} HTTP/1.1\r\nHost: k\r\n{headers}\r\n".encode()
    said, _ = port.ask(head + data)
    (answer,) = port.read(said, [method])
    return answer
