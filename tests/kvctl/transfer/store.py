"""A store that is not there: as much of a server as an import talks to."""

from __future__ import annotations

import json
from urllib.parse import unquote_to_bytes

from kvd.kvctl.transfer.putting import as_shown
from kvd.kvctl.wire import Answer


def said(status, body):
    return Answer("http://m1", status, {"x-etcd-index": "9"}, body)


class Store:
    """Keys to nodes; bytes, as a server keeps them."""

    def __init__(self):
        self.nodes = {}
        self.asked = []
        self.next = []  # answers that come before all others

    def put(self, key, value=None, *, expires=False):
        self.nodes[key] = (value, expires)

    def ask(self, method, target, form):
        self.asked.append((method, target, form))
        if self.next:
            return self.next.pop(0)
        path = target.partition("?")[0].removeprefix("/v2/keys")
        key = unquote_to_bytes(path).decode()
        if any(self.nodes.get(above, (None,))[0] is not None for above in _above(key)):
            return refusal(104, "Not a directory")
        if method == "GET":
            return self._get(key)
        pairs = (pair.partition(b"=")[::2] for pair in form.split(b"&"))
        plain = (
            (name.decode(), unquote_to_bytes(value.replace(b"+", b" ")))
            for name, value in pairs
        )
        return self._set(key, dict(plain))

    def _get(self, key):
        if key not in self.nodes:
            return refusal(100, "Key not found")
        value, expires = self.nodes[key]
        node = {"key": key}
        if value is None:
            node["dir"] = True
        else:
            node["value"] = as_shown(value)
        if expires:
            node |= {"expiration": "2030", "ttl": 5}
        return said(200, json.dumps({"action": "get", "node": node}).encode())

    def _set(self, key, fields):
        there = self.nodes.get(key)
        if fields.get("prevExist") == b"false" and there is not None:
            return refusal(105, "Key already exists")
        if fields.get("prevExist") == b"true" and there is None:
            return refusal(100, "Key not found")
        value = None if "dir" in fields else fields["value"]
        if "prevValue" in fields and there[0] != fields["prevValue"]:
            return refusal(101, "Compare failed")
        may = fields.get("prevExist") == b"true" and value is None
        if there is not None and there[0] is None and not may:
            return refusal(102, "Not a file")
        self.nodes[key] = (value, "ttl" in fields)
        return said(200, json.dumps({"action": "set", "node": {"key": key}}).encode())


def _above(key):
    parts = key.split("/")[1:-1]
    return ["/" + "/".join(parts[:count]) for count in range(1, len(parts) + 1)]


def refusal(code, message, **more):
    return said(
        400,
        json.dumps(
            {"errorCode": code, "message": message, "index": 9, **more}
        ).encode(),
    )
