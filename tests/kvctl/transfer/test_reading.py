"""A whole file: all problems at once, by line, before anything is written."""

from __future__ import annotations

from io import BytesIO

import pytest

from kvd.kvctl.transfer import reading
from kvd.kvctl.transfer.reading import PROBLEMS_MAX, BrokenFile, check, records
from kvd.kvctl.transfer.records import End, Header, Record, encode

HEADER = Header(prefix="/p", index=1)
A, B = Record(key="/p/a", value=b"1"), Record(key="/p/b", value=b"2")


def file_of(*lines):
    return BytesIO(
        b"".join(line if isinstance(line, bytes) else encode(line) for line in lines)
    )


def problems(*lines):
    with pytest.raises(BrokenFile) as raised:
        check(file_of(*lines))
    return list(raised.value.problems)


def test_a_good_file_is_counted_and_then_read_from_its_start():
    file = file_of(HEADER, A, B, End(2))
    checked = check(file)
    assert (checked.header, checked.count) == (HEADER, 2)
    assert [(each.number, each.record) for each in records(file)] == [(2, A), (3, B)]


def test_the_prefix_itself_may_be_in_it():
    one = Record(key="/p", value=b"")
    assert check(file_of(HEADER, one, End(1))).count == 1


def test_a_file_that_is_cut_off_is_broken():
    assert problems(HEADER, A) == [
        "the end is missing: the export was not finished, or the file is cut off"
    ]
    assert problems(HEADER, A, b'{"key":"/p/b","val') == [
        "line 3: expected a JSON object, alone on its line",
        "the end is missing: the export was not finished, or the file is cut off",
    ]


def test_a_file_in_which_a_line_is_missing_is_broken():
    assert problems(HEADER, A, End(2)) == [
        "expected 2 keys, as the last line says, and found 1"
    ]


def test_an_empty_file_is_broken():
    assert problems() == ["line 1: expected the header of an export"]


def test_every_bad_line_is_told_with_its_number():
    bad = b'{"key":"x","value":""}\n'
    found = problems(HEADER, bad, A, HEADER, A, Record(key="/q"), b"\n", End(1), B)
    assert [each.partition(":")[0] for each in found] == [
        f"line {number}" for number in (2, 4, 5, 6, 7, 9)
    ]
    assert "that is not in the file yet" in found[2]
    assert "a key below /p" in found[3]
    assert "nothing after the end" in found[5]


def test_a_missing_header_is_told_once():
    found = problems(A, B, End(2))
    assert found == ["line 1: expected the header of an export on the first line"]


def test_a_neighbour_with_the_same_beginning_is_not_below():
    assert "below /p" in problems(HEADER, Record(key="/pa", value=b""), End(1))[0]


def test_the_root_is_no_record():
    everything = Header(prefix="/", index=1)
    assert "the root" in problems(everything, Record(key="/"), End(1))[0]


def test_keys_that_are_only_shown_alike_may_stand_twice():
    same = Record(key="/p/\ufffd", value=b"", lossy=True)
    assert check(file_of(HEADER, same, same, End(2))).count == 2


def test_problems_are_told_up_to_a_limit():
    found = problems(HEADER, *[b"\n"] * (PROBLEMS_MAX + 5))
    assert len(found) == PROBLEMS_MAX + 1
    assert found[-1] == "and there may be more"


def test_a_line_that_is_too_long_is_told_and_passed_over(monkeypatch):
    monkeypatch.setattr(reading, "LINE_BYTES_MAX", 200)
    long = Record(key="/p/long", value=b"x" * 1000)
    assert problems(HEADER, long, A, End(1)) == [
        "line 2: expected a line of at most 200 bytes"
    ]


def test_a_file_that_changes_after_it_was_checked_is_noticed():
    with pytest.raises(BrokenFile, match="line 2: expected a JSON object"):
        list(records(file_of(HEADER, b"x\n")))
