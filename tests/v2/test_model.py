"""The store against a slow, obvious one: a flat dict of paths and a list of watches."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kvd.errors import RequestError
from kvd.state import at_once
from kvd.v2 import tree
from kvd.v2.commands import Command, Op, encode_command
from kvd.v2.machine import V2

from .conftest import NOW, SECOND, Subject

OLD = 946_684_800 * SECOND


class Model:
    """Everything by its full path; every question is a loop over everything."""

    def __init__(self):
        self.nodes = {"/": {"dir": True, "value": None, "c": 0, "m": 0, "exp": None}}
        self.index = 0
        self.history = []
        self.watches = []

    def view(self, path):
        n = self.nodes[path]
        return (path, n["value"], n["dir"], n["exp"], n["m"], n["c"])

    def below(self, path):
        prefix = path.rstrip("/") + "/"
        return [p for p in self.nodes if p.startswith(prefix) and p != "/"]

    def find(self, path):
        """None, or the refusal."""
        names = path.split("/")[1:] if path != "/" else []
        for n in range(len(names) + 1):
            here = "/" + "/".join(names[:n])
            if here not in self.nodes:
                return (100, here)
            if n < len(names) and not self.nodes[here]["dir"]:
                return (104, here)
        return None

    def apply(self, c: Command):
        if c.op is Op.SYNC:
            done = []
            while True:
                due = sorted(
                    (n["exp"], p)
                    for p, n in self.nodes.items()
                    if n["exp"] is not None and n["exp"] <= c.expiration_ns
                )
                if not due or (c.limit and len(done) == c.limit):
                    return done
                done.append(self.remove("expire", due[0][1]))
        path = c.path
        if c.op is Op.CREATE_IN_ORDER:
            path = path.rstrip("/") + f"/{self.index + 1:020d}"
        elif path == "/":
            return (102, "") if c.op is Op.COMPARE_AND_DELETE else (107, "/")
        found = self.find(path)
        old = self.nodes.get(path)
        if c.op in (Op.SET, Op.CREATE, Op.CREATE_IN_ORDER):
            return self.make(c, path, found, old)
        if found:
            return found
        if c.op in (Op.UPDATE, Op.COMPARE_AND_SWAP):
            return self.change(c, path, old)
        if c.op is Op.COMPARE_AND_DELETE:
            if old["dir"]:
                return (102, path)
            wrong = self.compare(c, old)
            return (101, wrong) if wrong else self.remove("compareAndDelete", path)
        if old["dir"] and not c.recursive:
            if not c.dir:
                return (102, path)
            if self.below(path):
                return (108, path)
        return self.remove("delete", path)

    def make(self, c, path, found, old):
        setting = c.op is Op.SET
        value = c.value
        if setting and c.refresh:
            if found:
                return found
            value = old["value"]
        if found and found[0] == 104:
            return found
        if old is not None and (old["dir"] or not setting):
            return (102 if setting else 105, path)
        prev = self.view(path) if old else None
        self.index += 1
        names = path.split("/")
        for n in range(2, len(names)):
            self.nodes.setdefault(
                "/".join(names[:n]),
                {"dir": True, "value": None, "c": self.index, "m": self.index}
                | {"exp": None},
            )
        expiration = c.expiration_ns
        self.nodes[path] = {
            "dir": c.dir,
            "value": None if c.dir else value,
            "c": self.index,
            "m": self.index,
            "exp": None if expiration is None or expiration < OLD else expiration,
        }
        action = "set" if setting else "create"
        return self.tell(action, self.view(path), prev, refresh=setting and c.refresh)

    def change(self, c, path, old):
        prev = self.view(path)
        if c.op is Op.COMPARE_AND_SWAP:
            if old["dir"]:
                return (102, path)
            wrong = self.compare(c, old)
            if wrong:
                return (101, wrong)
        elif old["dir"] and c.value:
            return (102, path)
        self.index += 1
        old["exp"] = c.expiration_ns
        if not old["dir"]:
            old["value"] = old["value"] if c.refresh else c.value
            old["m"] = self.index
        shown = (*self.view(path)[:4], self.index, old["c"])
        action = "update" if c.op is Op.UPDATE else "compareAndSwap"
        return self.tell(action, shown, prev, refresh=c.refresh)

    def compare(self, c, old):
        wrong = []
        if c.prev_value and c.prev_value != old["value"]:
            wrong.append(f"[{c.prev_value} != {old['value']}]")
        if c.prev_index and c.prev_index != old["m"]:
            wrong.append(f"[{c.prev_index} != {old['m']}]")
        return " ".join(wrong)

    def remove(self, action, path):
        prev = self.view(path)
        gone = {path, *self.below(path)}
        self.index += 1
        for p in gone:
            del self.nodes[p]
        shown = (path, None, prev[2], None, self.index, prev[5])
        return self.tell(action, shown, prev, gone=gone)

    def tell(self, action, shown, prev, *, refresh=False, gone=()):
        event = (action, shown, prev, self.index)
        self.history.append((event, refresh))
        if not refresh:
            for watch in list(self.watches):
                if watch["path"] in gone:
                    self.match(watch, event)
                if watch["path"] == shown[0] or (
                    watch["recursive"] and visible_below(watch["path"], shown[0])
                ):
                    self.match(watch, event)
        return event

    def match(self, watch, event):
        if watch in self.watches and event[3] >= watch["since"]:
            watch["seen"].append(event)
            if not watch["stream"]:
                self.watches.remove(watch)

    def watch(self, path, *, recursive, stream, since):
        seen = []
        since = since or self.index + 1
        for event, refresh in self.history:
            key = event[1][0]
            gone = event[0] in ("delete", "expire") and event[1][2]
            if (
                event[3] >= since
                and not refresh
                and (
                    key == path
                    or (recursive and key.startswith(path.rstrip("/") + "/"))
                    or (gone and path.startswith(key))
                )
            ):
                seen.append(event)
                return seen
        watch = {"path": path, "recursive": recursive, "stream": stream}
        self.watches.append(watch | {"since": since, "seen": seen})
        return seen


def visible_below(path, key):
    prefix = path.rstrip("/") + "/"
    return key.startswith(prefix) and "/_" not in "/" + key[len(prefix) :]


def flat(view):
    return view and (
        view.key,
        view.value,
        view.dir,
        view.expiration_ns,
        view.modified_index,
        view.created_index,
    )


def plain(event):
    return (event.action, flat(event.node), flat(event.prev), event.etcd_index)


names = st.sampled_from(["a", "b", "_h", "ab"])
paths = st.one_of(
    st.just("/"),
    st.lists(names, min_size=1, max_size=3).map(lambda names: "/" + "/".join(names)),
)
instants = st.one_of(
    st.none(),
    st.integers(min_value=1, max_value=5).map(lambda n: NOW + n),
    st.sampled_from([1, -(2**63), OLD - 1, OLD, 2**63 - 1]),
)
commands = st.one_of(
    st.builds(
        Command,
        op=st.sampled_from([op for op in Op if op is not Op.SYNC]),
        path=paths,
        value=st.sampled_from(["", "1", "2"]),
        dir=st.booleans(),
        expiration_ns=instants,
        refresh=st.sampled_from([False, False, False, True]),
        prev_value=st.sampled_from([None, None, "1", "2"]),
        prev_index=st.integers(min_value=0, max_value=6),
        recursive=st.booleans(),
        limit=st.just(0),
        by=st.none(),
        slash=st.just(False),
    ),
    st.builds(
        Command,
        op=st.just(Op.SYNC),
        path=st.just(""),
        value=st.just(""),
        dir=st.just(False),
        refresh=st.just(False),
        prev_value=st.none(),
        prev_index=st.just(0),
        recursive=st.just(False),
        expiration_ns=st.integers(min_value=1, max_value=5).map(lambda n: NOW + n),
        limit=st.integers(min_value=0, max_value=2),
        by=st.none(),
        slash=st.just(False),
    ),
)
watches = st.tuples(paths, st.booleans(), st.booleans(), st.integers(0, 12))
restarts = st.just("restart")


@given(st.lists(st.one_of(commands, commands, commands, watches, restarts)))
@settings(max_examples=70, deadline=None)
def test_the_store_does_what_the_slow_and_obvious_one_does(steps):
    model, subject = Model(), Subject(V2)
    seen = []
    for step in steps:
        if step == "restart":
            if not model.watches:
                subject = subject.restarted()
        elif isinstance(step, Command):
            expected = model.apply(step)
            answer = subject.apply(encode_command(step))
            if isinstance(answer, RequestError):
                assert (answer.code, answer.cause) == expected
                assert answer.index == model.index
            elif type(answer) is tuple:
                assert [plain(event) for event in answer] == expected
            else:
                assert plain(answer) == expected
        else:
            path, recursive, stream, since = step
            fields = {"recursive": recursive, "stream": stream, "since": since}
            seen.append((model.watch(path, **fields), subject.watch(path, **fields)))
    check_tree(model, subject)
    for expected, told in seen:
        assert [plain(event) for event in told] == expected
    assert subject.v2.stats.watchers == len(model.watches)
    assert subject.restarted().v2.digest() == subject.v2.digest()


@given(st.lists(commands, max_size=60))
@settings(max_examples=30, deadline=None)
def test_the_same_holds_when_every_directory_is_large(steps):
    bounds = tree.BUCKET_MAX, tree._SHRINK_BELOW, tree.DEPTH_MAX
    tree.BUCKET_MAX, tree._SHRINK_BELOW, tree.DEPTH_MAX = 1, 1, 3
    try:
        model, subject = Model(), Subject(V2)
        old = []
        for step in steps:
            model.apply(step)
            subject.apply(encode_command(step))
            old.append((subject.v2.digest(), subject.v2.snapshot()))
        check_tree(model, subject)
        for digest, section in old:  # each still shows its own moment
            then = V2()
            at_once(then.restoring(version=section.version, chunks=section.chunks))
            assert then.digest() == digest
    finally:
        tree.BUCKET_MAX, tree._SHRINK_BELOW, tree.DEPTH_MAX = bounds


def check_tree(model, subject):
    assert subject.v2.index == model.index
    for path in model.nodes:
        event = subject.get(path)
        shown = flat(event.node)
        key = "" if path == "/" else path
        assert shown == (key, *model.view(path)[1:])
        prefix = path.rstrip("/") + "/"
        children = sorted(
            p
            for p in model.below(path)
            if "/" not in p[len(prefix) :] and p[len(prefix)] != "_"
        )
        assert [node.key for node in event.node.nodes or ()] == children
    visible = [
        p for p in sorted(model.nodes, key=lambda p: p.split("/")) if "/_" not in p
    ]
    assert subject.keys() == [p for p in visible if p != "/"]
