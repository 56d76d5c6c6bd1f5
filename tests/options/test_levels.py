"""Levels of single packages."""

from __future__ import annotations

import pytest

from kvd.options.levels import PackageLevels


def test_pairs_are_read_with_etcds_levels():
    text = (
        "etcdmain=CRITICAL, etcdserver/api=d,*=Notice,,wal=WARN,http=trace,http=error"
    )
    assert PackageLevels().read(text) == (
        ("etcdmain", "fatal"),
        ("etcdserver/api", "debug"),
        ("*", "info"),
        ("wal", "warn"),
        ("http", "error"),
    )


@pytest.mark.parametrize("text", ["http", "http=", "=info", "http=loud", "a b=info"])
def test_what_is_no_pair_is_refused(text):
    with pytest.raises(ValueError, match="expected package=LEVEL pairs"):
        PackageLevels().read(text)


def test_none_is_no_text():
    assert PackageLevels().read("") == ()
    assert PackageLevels().show(()) == ""
    assert PackageLevels().show((("http", "debug"),)) == "http=debug"
    with pytest.raises(TypeError):
        PackageLevels().show("http=debug")
