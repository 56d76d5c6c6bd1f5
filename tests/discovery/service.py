"""A discovery service without sockets: v2 keys in a dictionary, faults when asked."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, unquote, urlsplit

from twisted.internet.defer import Deferred, fail, succeed

from kvd.discovery.failures import Late
from kvd.discovery.fetch import Fetched

HOST = "http://d.example:2379"
FOLDER = "/v2/keys/_etcd/registry/T"
URL = f"{HOST}{FOLDER}"


class Service:
    """
    :ivar answers: given in this order in place of the truth; None: the truth.
    :ivar asked: method and path of every request.
    """

    def __init__(self, clock, size="3"):
        self.clock = clock
        self.index = 3
        self.keys = {}
        self.watches = []
        self.answers = []
        self.asked = []
        self.lost = []  # changes whose answers get lost, but not the changes
        if size is not None:
            self.put("_config/size", size)

    def put(self, name, value):
        self.keys[name] = (value, self.index + 1)
        self.changed()

    def remove(self, name):
        del self.keys[name]
        self.changed()

    def changed(self):
        self.index += 1
        watches, self.watches = self.watches, []
        for since, watch in watches:
            if not watch.called and self.index >= since:
                watch.callback(self.answer(200, {"action": "set"}))
            else:
                self.watches.append((since, watch))

    def answer(self, status, document):
        return Fetched(status, self.index, json.dumps(document).encode())

    def error(self, code, message="Message", status=404):
        return self.answer(
            status, {"errorCode": code, "message": message, "cause": "c", "index": 9}
        )

    def __call__(self, method, url, *, form="", seconds):
        parts = urlsplit(url)
        assert url.startswith(HOST), url
        self.asked.append((method, parts.path))
        planned = self.answers.pop(0) if self.answers else None
        if isinstance(planned, Exception):
            return fail(planned)
        if planned is not None:
            return succeed(planned)
        name = parts.path.removeprefix(FOLDER).removeprefix("/")
        query = parse_qs(parts.query)
        if query.get("wait") == ["true"]:
            assert query["recursive"] == ["true"]
            return self.watch(int(query["waitIndex"][0]), seconds)
        if method == "PUT":
            return self.create(name, query, form)
        return succeed(self.get(name))

    def watch(self, since, seconds):
        if self.index >= since:
            return succeed(self.answer(200, {"action": "set"}))
        watch = Deferred()
        self.watches.append((since, watch))

        def late():
            if not watch.called:
                watch.errback(Late("no answer"))

        self.clock.callLater(seconds, late)
        return watch

    def create(self, name, query, form):
        assert query == {"prevExist": ["false"]}
        if name in self.keys:
            return succeed(self.error(105, "Key already exists", 412))
        self.put(name, unquote(form.removeprefix("value=")))
        if self.lost:
            return fail(self.lost.pop())
        node = {"key": name, "createdIndex": self.index}
        return succeed(self.answer(201, {"action": "create", "node": node}))

    def get(self, name):
        if name:
            if name not in self.keys:
                return self.error(100, "Key not found")
            return self.answer(200, {"node": {"value": self.keys[name][0]}})
        nodes = [
            {"key": f"{FOLDER}/{key}", "value": value, "createdIndex": index}
            for key, (value, index) in self.keys.items()
            if not key.startswith("_")
        ]
        nodes.reverse()  # whatever the order, it is not that of creation
        hidden = {"key": f"{FOLDER}/_config", "dir": True}
        return self.answer(200, {"node": {"dir": True, "nodes": [hidden, *nodes]}})
