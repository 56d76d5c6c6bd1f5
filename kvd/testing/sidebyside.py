"""
The same requests to two servers, and what differs between their answers.

Before a row (:mod:`kvd.testing.rows`) the server that lags writes until both stores have
the same index. So indexes, in-order names and raw body bytes can be compared as they
are; only times, raft positions and the order of unsorted listings need care
(:mod:`kvd.testing.seen`).
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Sequence

from kvd.testing.rows import Json, Raw, Row, Step, placed, request_bytes
from kvd.testing.seen import (
    EXPIRATION,
    LENGTH,
    Seen,
    differs,
    epoch_seconds,
    normal_body,
    seen_answer,
)
from kvd.testing.wire import Answer, Closed, Connection, Silent

EXPIRY_SECONDS = 6.0
QUIET_SECONDS = 0.15
LISTEN_SECONDS = 0.01
LATE_SECONDS = 2.0


class Side:
    """
    One server, the connections to it, and how it answers each step.

    :ivar names: what only this server calls so (its ids), and a word for both.
    """

    def __init__(self, port: int, names: dict[str, str] | None = None) -> None:
        self.port = port
        self._names = names or {}
        self._main: Connection | None = None
        self._watches: dict[str, Connection] = {}

    def close(self) -> None:
        """Let go of every connection."""
        for watch in self._watches.values():
            watch.close()
        self._watches.clear()
        if self._main is not None:
            self._main.close()
            self._main = None

    def ask(
        self, method: str, target: str, form: str | None = None, *, user: str = ""
    ) -> Answer:
        """
        One request on the main connection.

        :param user: ``name:password``, or what the Authorization field is after a
            ``=``, with dots for blanks.
        """
        request = request_bytes(method, target, form, user)
        return self.exchange(request, head=method == "HEAD")

    def exchange(self, data: bytes, *, head: bool = False) -> Answer:
        """The bytes of one request on the main connection; its answer."""
        if self._main is None:
            self._main = Connection(self.port)
        self._main.send(data)
        try:
            answer = self._main.read_answer(head=head)
        except (Closed, Silent):
            self._main.close()
            self._main = None
            raise
        if answer.header("Connection") == "close" or answer.framing == "close":
            self._main.close()
            self._main = None
        return answer

    def etcd_index(self) -> int:
        return int(self.ask("GET", "/v2/keys/").header("X-Etcd-Index") or -1)

    def counters(self) -> dict[str, int]:
        """The store's statistics, but for the watchers (connections close later)."""
        counters: dict[str, int] = json.loads(self.ask("GET", "/v2/stats/store").body)
        counters.pop("watchers")
        return counters

    def step(self, step: Step) -> Seen:
        """Do it, and say what came of it; never raises for what the server does."""
        try:
            if isinstance(step, Raw):
                return self._raw(step)
            if isinstance(step, Json):
                return self._json(step)
            return self._words(step)
        except Closed as closed:
            return Seen(f"(closed: {closed})")
        except Silent as silent:
            return Seen(f"(silent: {silent})")

    def _words(self, step: str) -> Seen:
        words = step.split(maxsplit=2)
        if words[0].endswith(">"):
            return self._open(words[0][:-1], step.partition(" ")[2])
        if words[0].endswith("<"):
            return self._next(words[0][:-1], words[1] if len(words) > 1 else "event")
        if words[0] == "as":
            return self._request(*words[2].split(maxsplit=2), user=words[1])
        if words[1] == "gone":
            if words[0] == "until":
                return self._until_gone(words[2])
            self._watches.pop(words[0]).close()
            return Seen("gone")
        if words[1] == "x":
            for _ in range(int(words[0]) - 1):
                self._words(words[2])
            return self._words(words[2])
        return self._request(*words)

    def _request(
        self, method: str, target: str, form: str | None = None, *, user: str = ""
    ) -> Seen:
        now = time.time()
        answer = self.ask(method, target, form, user=user)
        if method == "HEAD" and "wait" not in target and not user:
            answer = self._as_its_get(answer, target)
        return self._seen(answer, now, sorted_nodes="sorted=true" in target)

    def _json(self, step: Json) -> Seen:
        now = time.time()
        answer = self.exchange(step.request)
        return self._seen(answer, now, sorted_nodes=True)

    def _as_its_get(self, answer: Answer, target: str) -> Answer:
        """A HEAD's length is right if it is the GET's; times make it change."""
        length = self.ask("GET", target).header("Content-Length")
        return answer._replace(
            headers=tuple(
                (name, "<as the GET's>" if name == "Content-Length" else value)
                if value == length
                else (name, value)
                for name, value in answer.headers
            )
        )

    def _open(self, name: str, step: str) -> Seen:
        if name in self._watches:
            self._watches[name].close()
        watch = self._watches[name] = Connection(self.port)
        watch.send(request_bytes(*step.split(maxsplit=2)))
        answer = watch.read_head()
        if answer.header("Transfer-Encoding") is None:
            del self._watches[name]
            answer = watch.read_body(answer)
            watch.close()
        return self._seen(answer, time.time(), sorted_nodes=True)

    def _next(self, name: str, what: str) -> Seen:
        watch = self._watches[name]
        if what == "nothing":
            try:
                return Seen(f"event {watch.read_chunk(QUIET_SECONDS)!r}")
            except Silent:
                return Seen("nothing")
        chunk = watch.read_chunk()
        if what == "end":
            return Seen(f"ended {chunk!r}")
        return Seen(*normal_body(chunk, time.time()))

    def _until_gone(self, target: str) -> Seen:
        deadline = time.monotonic() + EXPIRY_SECONDS
        while True:
            answer = self.ask("GET", target)
            if answer.code == 404 or time.monotonic() > deadline:
                return self._seen(answer, time.time(), sorted_nodes=False)
            time.sleep(0.02)

    def _raw(self, raw: Raw) -> Seen:
        connection = Connection(self.port, timeout_seconds=5.0)
        seen: list[Seen] = []
        try:
            connection.send(raw.data)
            if raw.finish:
                connection.finish_sending()
            for number in range(raw.answers):
                now = time.time()
                answer = connection.read_answer(head=raw.heads)
                seen.append(self._seen(answer, now, sorted_nodes=False))
                if number == 0 and raw.then:
                    connection.send(raw.then)
            ends = "open" if connection.still_open() else "closed"
        except Closed:
            ends = "closed"
        except Silent:
            ends = "silent"
        finally:
            connection.close()
        text = "\n---\n".join(each.text for each in seen)
        return Seen(
            f"{text}\n--- then {ends}",
            tuple(itertools.chain.from_iterable(each.numbers for each in seen)),
        )

    def tidy(self, prefix: str) -> None:
        """Take the row's keys away, once nothing of them is about to expire."""
        deadline = time.monotonic() + EXPIRY_SECONDS
        while time.monotonic() < deadline:
            answer = self.ask("GET", f"{prefix}?recursive=true")
            ends = EXPIRATION.findall(answer.body)
            if not any(epoch_seconds(*end) < time.time() + 0.1 for end in ends):
                break
            time.sleep(0.02)
        self.ask("DELETE", f"{prefix}?recursive=true")

    def listen(self, heard: dict[str, list[Seen]]) -> bool:
        """Add what the open watches say at once; whether there was anything."""
        news = False
        for name, watch in list(self._watches.items()):
            words = heard.setdefault(name, [])
            try:
                while True:
                    chunk = watch.read_chunk(LISTEN_SECONDS)
                    words.append(Seen(*normal_body(chunk, time.time())))
                    news = True
                    if not chunk:
                        self._watches.pop(name).close()
                        break
            except Silent:
                pass
            except Closed as closed:
                words.append(Seen(f"(closed: {closed})"))
                self._watches.pop(name).close()
        return news

    def _seen(self, answer: Answer, now: float, *, sorted_nodes: bool) -> Seen:
        seen = seen_answer(answer, now, sorted_nodes=sorted_nodes)
        text = seen.text
        if any(own.encode() in answer.body for own in self._names):
            text = LENGTH.sub("Content-Length: <length>", text, count=1)
        return seen._replace(text=self._own_names(text))

    def _own_names(self, text: str) -> str:
        for own, common in self._names.items():
            text = text.replace(own, common)
        return text


class Pair:
    """Two servers with the same past, kept in step."""

    def __init__(self, oracle: Side, subject: Side) -> None:
        self.oracle = oracle
        self.subject = subject
        self._numbers = itertools.count(1)

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.oracle, self.subject

    def close(self) -> None:
        for side in self.sides:
            side.close()

    def fresh_prefix(self) -> str:
        """A key that no row used before, the same on both."""
        return f"/t{next(self._numbers)}"

    def align(self) -> int:
        """Bring both stores to the same index, and return it."""
        while True:
            oracle, subject = (side.etcd_index() for side in self.sides)
            if oracle == subject:
                return oracle
            lagging = self.oracle if oracle < subject else self.subject
            for _ in range(abs(oracle - subject)):
                lagging.ask("PUT", "/v2/keys/_filler", "value=")

    def difference(self, row: Row) -> str:
        """Run a row on both; what differs first, or nothing."""
        prefix = f"/v2/keys{self.fresh_prefix()}"
        try:
            difference = next(self._differences(row, prefix), "")
            for side in self.sides:
                side.tidy(prefix)
            return difference
        finally:
            self.close()

    def _differences(self, row: Row, prefix: str) -> Iterator[str]:
        base = self.align()
        before = [side.counters() for side in self.sides]
        yield from self.step_differences(row.steps, prefix, base)
        if row.counts_comparable:
            oracle, subject = (
                {name: value - past[name] for name, value in side.counters().items()}
                for side, past in zip(self.sides, before, strict=True)
            )
            if oracle != subject:
                yield f"store counters rose by\n--- etcd\n{oracle}\n--- kvd\n{subject}"
        if row.listens:
            yield from self._heard_differences()

    def step_differences(
        self, steps: Sequence[Step], prefix: str = "", base: int = 0
    ) -> Iterator[str]:
        """Run the steps on both; each difference as it is found."""
        for number, step in enumerate(steps, start=1):
            ready = placed(step, prefix, base)
            if isinstance(ready, str) and ready.startswith("pause "):
                time.sleep(float(ready.split()[1]))  # once for both
                continue
            difference = differs(*(side.step(ready) for side in self.sides))
            if difference:
                yield f"step {number}, {ready}:\n{difference}"

    def _heard_differences(self) -> Iterator[str]:
        """What the open watches hear; a late event is waited for, a lacking one told."""
        heard: list[dict[str, list[Seen]]] = [{}, {}]
        deadline = time.monotonic() + LATE_SECONDS
        while True:
            news = [
                side.listen(words)
                for side, words in zip(self.sides, heard, strict=True)
            ]
            if _same_words(*heard) and not any(news):
                return
            if time.monotonic() > deadline:
                yield f"watches heard\n--- etcd\n{heard[0]}\n--- kvd\n{heard[1]}"
                return


def _same_words(oracle: dict[str, list[Seen]], subject: dict[str, list[Seen]]) -> bool:
    return oracle.keys() == subject.keys() and all(
        len(words) == len(subject[name])
        and not any(differs(*each) for each in zip(words, subject[name], strict=True))
        for name, words in oracle.items()
    )
