"""``export``: what is asked, what is written, and what is said."""

from __future__ import annotations

import json
import os

import pytest

from kvd.kvctl.errors import EndpointFailed, Failed
from kvd.kvctl.transfer.export_command import prefix_of
from tests.kvctl.answering import run


def answer(**node):
    return {"action": "get", "node": node}


TREE = answer(
    dir=True,
    nodes=[
        {"key": "/a", "dir": True, "nodes": [{"key": "/a/b", "value": "1"}]},
        {"key": "/c", "value": "\ufffd"},
    ],
)
NOT_FOUND = (404, {"errorCode": 100, "message": "Key not found", "index": 7})
RECURSIVE = "quorum=true&recursive=true&sorted=true"


def keys(out):
    return [json.loads(line).get("key") for line in out.splitlines()[1:-1]]


def test_the_whole_tree_is_read_at_once_by_a_quorum():
    ended = run("export -", TREE)
    assert ended.status == 0
    assert ended.asked == [("GET", f"/v2/keys/?{RECURSIVE}", "")]
    assert keys(ended.out) == ["/a/b", "/c"]
    assert ended.err.splitlines()[0] == (
        "kvctl: 2 records of what is below / at index 0"
    )
    assert "1 of them are marked as lossy" in ended.err


def test_a_prefix_is_escaped():
    ended = run("export - --prefix 'a b/?'", answer(key="/a b/?", value="1"))
    assert ended.asked == [("GET", f"/v2/keys/a%20b/%3F?{RECURSIVE}", "")]
    assert keys(ended.out) == ["/a b/?"]


def test_piece_by_piece_no_answer_is_recursive():
    top = answer(
        dir=True, nodes=[{"key": "/a", "dir": True}, {"key": "/g", "dir": True}]
    )
    inside = answer(key="/a", dir=True, nodes=[{"key": "/a/b", "value": "1"}])
    ended = run("export - --piecewise", top, inside, NOT_FOUND)
    assert [target for _, target, _ in ended.asked] == [
        "/v2/keys/?quorum=true&sorted=true",
        "/v2/keys/a?quorum=true&sorted=true",
        "/v2/keys/g?quorum=true&sorted=true",
    ]
    assert keys(ended.out) == ["/a/b"]
    assert '"consistency":"directory"' in ended.out


def test_a_file_is_for_its_owner_and_takes_the_place_of_an_older_one(tmp_path):
    file = tmp_path / "x"
    file.write_text("old")
    file.chmod(0o644)
    assert run(f"export {file}", TREE).status == 0
    assert len(file.read_text().splitlines()) == 4
    assert file.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["x"]


def test_a_file_that_is_not_finished_is_not_there(tmp_path):
    file = tmp_path / "x"
    file.write_text("old")
    top = answer(dir=True, nodes=[{"key": "/a", "dir": True}])
    gone = EndpointFailed("http://m1:2379", "connection refused")
    ended = run(f"export --piecewise {file}", top, gone)
    assert ended.status == 4
    assert "connection refused" in ended.err
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["x"]


def test_who_laid_out_a_file_beforehand_does_not_get_what_is_exported(tmp_path):
    (tmp_path / "x.tmp").write_text("mine")
    (tmp_path / "x.tmp").chmod(0o666)
    assert run(f"export {tmp_path / 'x'}", TREE).status == 0
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "x.tmp").read_text() == "mine"


def test_where_a_link_leads_to_is_replaced_and_not_the_link(tmp_path):
    (tmp_path / "link").symlink_to("file")
    for _ in range(2):  # the first time it leads nowhere yet
        assert run(f"export {tmp_path / 'link'}", TREE).status == 0
        assert (tmp_path / "link").is_symlink()
        assert len((tmp_path / "file").read_text().splitlines()) == 4


def test_what_is_no_file_is_written_to_and_stays_what_it_is(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        ended = run(f"export {pipe}", TREE)
        assert ended.status == 0
        assert len(os.read(reading, 10_000).splitlines()) == 4
    finally:
        os.close(reading)
    assert pipe.is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_folder_is_no_file(tmp_path):
    ended = run(f"export {tmp_path}", TREE)
    assert ended.status == 1
    assert ended.err == f"export: {tmp_path}: is a directory\n"


def test_an_answer_that_cannot_be_read_may_be_asked_for_in_pieces():
    ended = run("export -", b"<html>")
    assert ended.status == 4
    assert ended.err.endswith("kvctl: --piecewise asks for less at a time\n")


def test_what_is_not_there_cannot_be_exported():
    ended = run("export - --prefix /none", NOT_FOUND)
    assert (ended.status, ended.out) == (4, "")
    assert "100: Key not found" in ended.err


@pytest.mark.parametrize("line", ["export", "export a b"])
def test_one_file_is_wanted(line):
    ended = run(line)
    assert ended.status == 1
    assert ended.err == "export: expected one file, or - for standard output\n"


@pytest.mark.parametrize(
    ("text", "prefix"), [("", "/"), ("/", "/"), ("a", "/a"), ("/a/b/", "/a/b")]
)
def test_a_prefix_is_read_as_a_key(text, prefix):
    assert prefix_of(text) == prefix


@pytest.mark.parametrize("text", ["/a//b", "/a/../b", "/./a", "/\udcff"])
def test_what_is_no_key_is_no_prefix(text):
    with pytest.raises(Failed, match="--prefix"):
        prefix_of(text)
