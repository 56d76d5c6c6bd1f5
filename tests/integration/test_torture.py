"""Members are killed with -9 and frozen, the leader often, while clients write."""

import os
import random

import pytest

from tests.integration.torture import Book, Torture, broken_promises, settled

SECONDS = float(os.environ.get("KVD_TORTURE_SECONDS", "40"))
SEED = int(os.environ.get("KVD_TORTURE_SEED", random.randrange(1 << 32)))


@pytest.mark.slow
def test_members_killed_under_writers_keep_every_promise(make_cluster):
    servers = make_cluster(
        3,
        **{
            # Snapshots are made and installed all the time.
            "snapshot-count": 300,
            "snapshot-catchup-entries": 50,
            "event-history": 1_000_000,
        },
    )
    torture = Torture(servers, seed=SEED, seconds=SECONDS)
    book = torture.run()
    again = f"KVD_TORTURE_SEED={SEED} KVD_TORTURE_SECONDS={SECONDS:g}"
    trees = settled(servers)
    index, leaves = trees[0]
    for server, (other_index, other) in zip(servers, trees, strict=True):
        differing = [key for key in leaves | other if leaves.get(key) != other.get(key)]
        assert (other_index, differing[:5]) == (index, []), f"{server.name}; {again}"
    problems = broken_promises(book, leaves)
    assert not problems, "\n".join([*problems[:10], again])
    print(
        f"{len(book.writes)} writes, {len(book.swaps)} swaps, {len(book.posts)} posts,"
        f" {len(book.watched)} watched, {sum(len(s) for _, s in book.streams)} in"
        f" {len(book.streams)} streams; {book.kills} kills, {book.leader_kills} of them"
        f" leaders, {book.freezes} freezes; {again}"
    )
    for server in servers:
        said = (server.place.folder / "log").read_text()
        for word in ("Traceback", "critical"):
            assert word not in said, f"{server.name}; {again}\n{server.last_words()}"
    # It was torture, and work was done under it.
    assert book.kills + book.freezes >= SECONDS / 8, again
    assert len(book.writes) > SECONDS * 2, again
    assert len(book.swaps) > SECONDS / 2, again
    assert len(book.watched) > SECONDS / 2, again
    assert sum(len(seen) for _, seen in book.streams) > SECONDS / 2, again


def leaf(key, value, index):
    return {"key": key, "value": value, "modifiedIndex": index}


def kept():
    """A book, and the tree that keeps it."""
    book = Book()
    book.tried = {"/torture/w0/1": "0-1", "/torture/w0/2": "0-2", "/torture/w1/1": "x"}
    book.writes = {"/torture/w0/1": ("0-1", 5), "/torture/w0/2": ("0-2", 6)}
    book.posts = {"/torture-queue/7": ("1", 7)}
    book.swaps = {1: 8, 2: 9}
    book.watched = {5: "/torture/w0/1", 6: "/torture/w0/2"}
    book.watch_passed = 6
    book.tried["/torture/w1/2"] = "z"
    book.writes["/torture/w1/2"] = ("z", 12)
    book.streams = [(1, [11, 12]), (11, []), (11, [12])]
    leaves = [
        leaf("/torture/w0/1", "0-1", 5),
        leaf("/torture/w0/2", "0-2", 6),
        leaf("/torture/w1/1", "x", 11),
        leaf("/torture/w1/2", "z", 12),
        leaf("/torture-queue/7", "1", 7),
        leaf("/torture-counter", "3", 10),
    ]
    return book, {each["key"]: each for each in leaves}


def test_the_judge_accepts_what_was_kept():
    assert broken_promises(*kept()) == []


@pytest.mark.parametrize(
    "breach",
    [
        lambda book, leaves: leaves.pop("/torture/w0/1"),
        lambda book, leaves: leaves["/torture/w0/1"].update(value="0-9"),
        lambda book, leaves: leaves["/torture/w0/1"].update(modifiedIndex=4),
        lambda book, leaves: leaves.pop("/torture-queue/7"),
        lambda book, leaves: leaves["/torture-counter"].update(value="1"),
        lambda book, leaves: leaves["/torture/w1/1"].update(value="y"),
        lambda book, leaves: book.swaps.update({2: 8}),
        lambda book, leaves: book.watched.pop(5),
        lambda book, leaves: book.streams.append((10, [11, 13])),
        lambda book, leaves: book.streams.append((10, [12, 11])),
        lambda book, leaves: book.streams.append((10, [12, 12])),
        lambda book, leaves: book.streams.append((12, [12])),
        lambda book, leaves: book.problem("seen while it ran"),
    ],
)
def test_the_judge_notices(breach):
    book, leaves = kept()
    breach(book, leaves)
    assert broken_promises(book, leaves)
