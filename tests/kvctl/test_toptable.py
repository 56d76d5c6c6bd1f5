"""Rows of ``top``."""

from __future__ import annotations

import pytest

from kvd.kvctl.toptable import (
    HEADINGS,
    fitting,
    in_bytes,
    lag_of,
    notes,
    plain,
    rows,
)
from tests.kvctl.looks import member, missing, seen

NAMES = [heading.lower() for heading in HEADINGS]
GETS, PUTS = (
    "etcd_http_received_total{method=GET}",
    "etcd_http_received_total{method=PUT}",
)


def cells(row):
    return dict(zip(NAMES, row.cells, strict=True))


def test_a_member_of_kvd_fills_every_column():
    before = {"am1": seen(metrics={GETS: 10, PUTS: 1}, at=5.0)}
    metrics = {
        GETS: 40,
        "etcd_http_received_total{method=QGET}": 5,
        PUTS: 2,
        "etcd_debugging_store_watchers": 3,
        "kvd_store_index": 77,
        "kvd_snapshot_bytes": 2048,
        "process_resident_memory_bytes": 50 << 20,
    }
    (row,) = rows([seen(metrics=metrics, at=7.0, state="leader")], before)
    assert cells(row) == {
        "member": "m1",
        "state": "leader",
        "term": "3",
        "applied": "100",
        "lag": "0",
        "reads/s": "17.5",
        "writes/s": "0.5",
        "watches": "3",
        "index": "77",
        "snapshot": "2.0 KiB",
        "memory": "50.0 MiB",
        "note": "",
    }
    assert not row.bad


def test_what_a_server_does_not_tell_is_a_dash():
    bare = seen(state=None, term=None, applied=None, commit=None, version="")
    row = cells(rows([bare])[0])
    assert {name for name, cell in row.items() if cell == "-"} == {*NAMES} - {
        "member",
        "note",
    }


def test_one_look_has_no_rates():
    row = cells(rows([seen(metrics={GETS: 5})])[0])
    assert (row["reads/s"], row["writes/s"]) == ("-", "-")


@pytest.mark.parametrize(("older", "at"), [(9, 1.0), (1, 0.0)])
def test_no_rate_is_made_up_after_a_restart_or_without_time(older, at):
    before = {"am1": seen(metrics={GETS: older})}
    row = cells(rows([seen(metrics={GETS: 5}, at=at)], before)[0])
    assert row["reads/s"] == "-"


def test_a_member_that_cannot_be_asked_is_a_row_that_says_so():
    leader = seen(state="leader", metrics={"kvd_follower_lag_entries{To=am3}": 12})
    found = rows([missing(trouble="connection refused"), leader])
    assert [row.bad for row in found] == [False, True]
    lost = cells(found[1])
    assert (lost["member"], lost["state"]) == ("m3", "unreachable")
    assert (lost["lag"], lost["note"]) == ("12", "connection refused")
    assert lost["applied"] == lost["memory"] == "-"


def test_one_that_was_never_started_has_its_id_for_a_name():
    (row,) = rows([missing(member=member("", member_id="beef"), trouble="not yet")])
    assert row.cells[:2] == ("beef", "unstarted")


def test_rows_are_in_the_order_of_names():
    found = rows([seen("m3"), seen("m1"), missing("m2")])
    assert [row.cells[0] for row in found] == ["m1", "m2", "m3"]


@pytest.mark.parametrize(
    ("look", "note"),
    [
        ({"healthy": False}, "not healthy"),
        ({"healthy": False, "leader": ""}, "not healthy: it knows no leader"),
        ({"metrics": {"kvd_out_of_space": 1}}, "out of space: writes are refused"),
        ({"trouble": "no metrics"}, "no metrics"),
    ],
)
def test_a_note_says_what_is_wrong(look, note):
    assert cells(rows([seen(**look)])[0])["note"] == note


def test_a_learner_is_called_so():
    row = rows([seen(metrics={"etcd_server_is_learner": 1})])[0]
    assert cells(row)["state"] == "learner"


def test_lag_is_what_the_leader_says_of_kvd_and_of_etcd():
    follower = seen("m2", applied=90)
    kvd = seen(state="leader", metrics={"kvd_follower_lag_entries{To=am2}": 7})
    etcd = seen(state="leader", lags={"am2": 5})
    silent = seen(state="leader", commit=101)
    assert lag_of(follower, [kvd, follower]) == 7
    assert lag_of(follower, [etcd, follower]) == 5
    assert lag_of(follower, [silent, follower]) == 11
    assert lag_of(kvd, [kvd]) == 0
    assert lag_of(seen("m2", applied=None), [silent]) is None
    assert lag_of(seen("m2", commit=None, applied=4), []) is None


def test_a_member_ahead_of_an_older_look_does_not_lag_by_less_than_nothing():
    assert lag_of(seen("m2", applied=105), [seen("m1", commit=100)]) == 0


def test_the_plain_table_stands_in_columns():
    lines = plain(rows([seen("m1"), missing("long-name", trouble="gone")]))
    assert len(lines) == 3
    assert (
        len(
            {
                line.index(word)
                for line, word in zip(lines, ("STATE", "unr", "fol"), strict=True)
            }
        )
        == 1
    )
    assert lines[1].endswith("gone")
    assert lines[2] == lines[2].rstrip()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1 << 40, "1.0 TiB"),
        (1 << 60, "1048576.0 TiB"),
    ],
)
def test_bytes_have_a_unit(value, shown):
    assert in_bytes(value) == shown


def headings(width):
    found = rows([seen("m1", state="leader"), missing("m2")])
    return [HEADINGS[at] for at in fitting(found, width)]


def test_columns_go_where_there_is_no_room_for_them():
    assert headings(200) == list(HEADINGS[:-1])
    whole = len("m1     unreachable TERM APPLIED LAG READS/S WRITES/S WATCHES INDEX")
    whole += len(" SNAPSHOT MEMORY")
    assert headings(whole) == list(HEADINGS[:-1])
    assert headings(whole - 1) == [each for each in HEADINGS[:-1] if each != "SNAPSHOT"]
    narrow = headings(1)
    assert narrow == ["MEMBER", "STATE", "LAG", "READS/S", "WRITES/S"]
    assert fitting([], 200) == list(range(len(HEADINGS) - 1))


def test_notes_stand_by_themselves():
    assert notes(rows([seen("m1"), missing("m2", "gone")])) == ["m2: gone"]


def test_what_a_member_says_does_not_reach_the_terminal_as_it_is():
    hostile = "\x1b[31m\x07\n"
    found = rows([seen(hostile, state=hostile), missing("m2", trouble=hostile)])
    assert all(cell.isprintable() for row in found for cell in row.cells)
    assert all(line.isprintable() for line in notes(found))
