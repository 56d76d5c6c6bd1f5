"""Bodies byte by byte: escaping, order, what is left out."""

from __future__ import annotations

import pytest

from kvd.testing.rows import names, row

pytestmark = pytest.mark.oracle


def escaped(*characters: int) -> str:
    return "".join(
        f"%{byte:02X}" for character in characters for byte in chr(character).encode()
    )


ROWS = [
    *(
        row(
            f"the characters {first:#04x} to {first + 15:#04x} in a value",
            *(f"PUT $/a value=<%{byte:02X}>" for byte in range(first, first + 16)),
        )
        for first in range(0, 256, 16)
    ),
    *(
        row(
            f"the characters {first:#04x} to {first + 15:#04x} in a key",
            *(f"PUT $/a%{byte:02X}b value=" for byte in range(first, first + 16)),
            "GET $?sorted=true",
        )
        for first in range(0, 256, 16)
    ),
    row("html's signs are escaped", "PUT $/a value=%3C%3E%26", "GET $/%3C%3E%26"),
    row(
        "line and paragraph separators are escaped",
        f"PUT $/a value={escaped(0x2028, 0x2029, 0x2027, 0x202A)}",
    ),
    row(
        "other characters are raw",
        f"PUT $/a value={escaped(0xE9, 0x20AC, 0x1F600, 0x7F, 0x85, 0xFEFF, 0xFFFD, 0xFFFE, 0x10FFFF)}",
    ),
    row(
        "control characters are escaped in three ways",
        "PUT $/a value=%00%01%07%08%09%0A%0B%0C%0D%1B%1F",
    ),
    row(
        "each byte that is no UTF-8 is a replacement character",
        *(
            f"PUT $/a value=x{bad}y"
            for bad in (
                "%FF",
                "%C3",
                "%C3%28",
                "%E2%82",
                "%E2%82%28",
                "%F0%9F%98",
                "%C0%80",
                "%ED%A0%80",
                "%F4%90%80%80",
                "%F8%88%80%80%80",
                "%80%80",
                "%E2%28%A1",
                "%F0%28%8C%BC",
            )
        ),
    ),
    row("a cause escapes as a value does", "GET $/%3Ca%3E%26%22%5C%00%FF%E2%80%A8"),
    row(
        "a quoted cause escapes its quotes",
        "GET $/a?ttl=1&recursive=x",
        "PUT $/a prevIndex=%22",
    ),
    row("an empty value is there", "PUT $/a value=", "GET $/a"),
    row("a directory has no value", "PUT $/d dir=true", "GET $/d"),
    row(
        "fields are in etcd's order",
        "PUT $/d dir=true&ttl=1000",
        "PUT $/d/a value=1&ttl=1000",
        "GET $/d",
        "GET $?recursive=true",
        "DELETE $/d?recursive=true",
    ),
    row(
        "compared values are shown as they came",
        "PUT $/a value=%FF%22",
        "PUT $/a?prevValue=%FE%26 value=1",
        "DELETE $/a?prevValue=%5D%5B",
    ),
    row("a large value", f"PUT $/a value={'abc%20' * 20000}", "GET $/a"),
    row(
        "a listing of many",
        *(f"PUT $/{number} value={number}" for number in range(50)),
        "GET $?sorted=true",
        "GET $",
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=names(ROWS))
def test_as_etcd(row, agree) -> None:
    agree(row)
