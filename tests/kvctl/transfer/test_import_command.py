"""``import``: what comes of a file, and how it is told."""

from __future__ import annotations

import os
from threading import Lock

import pytest

from kvd.kvctl.errors import EndpointFailed
from kvd.kvctl.transfer.import_command import run
from kvd.kvctl.transfer.records import End, Header, Record, encode
from tests.kvctl.answering import context_of, ended
from tests.kvctl.transfer.store import Store, refusal

RECORDS = (
    Record(key="/p/a", value=b"1"),
    Record(key="/p/b", value=b"\xff"),
    Record(key="/p/c", ttl=5),
    Record(key="/p/c/d", value=b"2"),
    Record(key="/p/e", value="\ufffd".encode(), lossy=True),
)


def text_of(*records, count=None):
    lines = [Header(prefix="/p", index=3), *records]
    lines.append(End(len(records) if count is None else count))
    return b"".join(map(encode, lines))


@pytest.fixture
def store():
    return Store()


def imported(store, line="import -", text=None):
    guard = Lock()

    def ask(*asked):
        with guard:
            answer = store.ask(*asked)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    context = context_of(line, stdin=text_of(*RECORDS) if text is None else text)
    return ended(context, run, ask=ask)


def test_a_file_is_put_where_it_was_and_lossy_records_are_left_out(store):
    came = imported(store)
    assert came.status == 1
    assert came.out == "4 created, 1 left out; 5 in the file\n"
    assert came.err == "kvctl: line 6: /p/e: left out\n"
    assert store.nodes == {
        "/p/a": (b"1", False),
        "/p/b": (b"\xff", False),
        "/p/c": (None, True),
        "/p/c/d": (b"2", False),
    }


def test_all_of_it_can_be_meant(store):
    came = imported(store, "import - --lossy --prefix other")
    assert (came.status, came.err) == (0, "")
    assert came.out == "5 created; 5 in the file\n"
    assert set(store.nodes) == {
        "/other" + each.key.removeprefix("/p") for each in RECORDS
    }


def test_a_dry_run_tells_and_writes_nothing(store):
    store.put("/p/a", b"other")
    came = imported(store, "import - --dry-run")
    assert came.status == 1
    assert came.out == (
        "3 would be created, 1 would be in conflict, 1 would be left out; "
        "5 in the file\n"
    )
    assert store.nodes == {"/p/a": (b"other", False)}


def test_a_conflict_ends_it(store):
    store.put("/p/a", b"other")
    came = imported(store, "import - --jobs 1")
    assert came.status == 1
    assert "kvctl: line 2: /p/a is there with something else\n" in came.err
    assert "all lines up to 1 are done" in came.err


def test_what_a_file_says_does_not_reach_the_terminal_as_it_is(store):
    key = "/p/\x1b[31m"
    store.put(key, b"other")
    lossy = Record(key=key, value="\ufffd".encode(), lossy=True)
    for hostile in (Record(key=key, value=b"1"), lossy):
        came = imported(store, text=text_of(hostile))
        assert came.status == 1
        assert "/p/\\x1b[31m" in came.err
        assert all(line.isprintable() for line in came.err.splitlines())


def test_a_cluster_that_refuses_ends_it_with_its_words(store):
    store.next = [refusal(110, "Not allowed", cause="/p/a")]
    came = imported(store, "import - --jobs 1")
    assert came.status == 4
    assert "kvctl: line 2: /p/a: 110: Not allowed (/p/a) [9]\n" in came.err


def test_a_cluster_that_does_not_answer_ends_it(store):
    store.next = [EndpointFailed("http://m1:2379", "connection refused")]
    came = imported(store, "import - --jobs 1")
    assert came.status == 4
    assert came.err.endswith("Error:  connection refused\n")
    assert "all lines up to 1 are done" in came.err


def test_an_interruption_is_told_and_handed_on(store):
    store.next = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        imported(store, "import - --jobs 1")


def test_an_empty_export_is_imported_by_doing_nothing(store):
    came = imported(store, text=text_of())
    assert (came.status, came.out) == (0, "nothing done; 0 in the file\n")


def test_a_pipe_is_read_but_once(store):
    reading, writing = os.pipe()
    try:
        os.write(writing, text_of(Record(key="/p/a", value=b"1")))
        os.close(writing)
        came = imported(store, f"import /dev/fd/{reading}")
    finally:
        os.close(reading)
    assert came.out == "1 created; 1 in the file\n"


def test_a_broken_file_is_not_begun(store):
    came = imported(store, text=text_of(*RECORDS, count=9))
    assert came.status == 1
    assert came.err == (
        "-: expected 9 keys, as the last line says, and found 5\n"
        "kvctl: nothing was imported\n"
    )
    assert store.asked == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("import", "import: expected one file, or - for standard input"),
        ("import a b", "import: expected one file, or - for standard input"),
        ("import - --jobs 0", "import: --jobs is from 1 to 256"),
        ("import - --jobs 257", "import: --jobs is from 1 to 256"),
        ("import - --skip --overwrite", "import: either --overwrite or --skip"),
        ("import /none/such", "import: /none/such: no such file or directory"),
        ("import - --prefix /a//b", "--prefix: /a//b has an empty name, or dots"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_done(store, line, said):
    came = imported(store, line)
    assert (came.status, came.out, came.err) == (1, "", f"{said}\n")
    assert store.asked == []
