"""The parameters of a keys request: forms as Go reads them, fields as etcd checks them."""

from __future__ import annotations

from typing import NamedTuple

from kvd import golang
from kvd.errors import RequestError
from kvd.http.exchange import Request

_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))
_UINT64_MAX = 2**64 - 1

PREV_VALUE_REQUIRED = 201
TTL_NOT_A_NUMBER = 202
INDEX_NOT_A_NUMBER = 203
INVALID_FIELD = 209
INVALID_FORM = 210
REFRESH_VALUE = 211
REFRESH_TTL_REQUIRED = 212


_SEMICOLON = "invalid semicolon separator in query"


class KeyParams(NamedTuple):
    """
    What V2-SPEC 3.3 lets through.

    :ivar prev_index: 0: absent.
    :ivar ttl: seconds, None: absent.
    :ivar prev_exist: None: absent.
    """

    value: str = ""
    prev_value: str | None = None
    prev_index: int = 0
    prev_exist: bool | None = None
    ttl: int | None = None
    dir: bool = False
    recursive: bool = False
    sorted: bool = False
    quorum: bool = False
    wait: bool = False
    wait_index: int = 0
    stream: bool = False
    refresh: bool = False
    no_value_on_success: bool = False


NOTHING = KeyParams()


def read_params(request: Request) -> KeyParams:
    """
    :raises RequestError: for the first check that fails, in etcd's order.
    """
    method = request.method
    if method in {"PUT", "POST"}:
        fields = form_fields(request)
    elif request.query:
        fields = {}
        problem = add_fields(fields, request.query)
        if problem:
            raise RequestError(INVALID_FORM, problem)
    else:
        return NOTHING
    if len(fields) == 1:
        value = fields.get("value")
        if value is not None:
            return KeyParams(value)
    return _checked(fields, method) if fields else NOTHING


def form_fields(request: Request) -> dict[str, str]:
    """
    Body first, then query; the first value of a name counts.

    :raises RequestError: 210.
    """
    fields: dict[str, str] = {}
    block = request.block
    problem = block.form_problem or request.form_problem
    if block.form and not request.form_problem and request.body:
        found = add_fields(fields, request.body.decode("utf-8", "surrogateescape"))
        problem = problem or found
    if request.query:
        found = add_fields(fields, request.query)
        problem = problem or found
    if problem:
        raise RequestError(INVALID_FORM, problem)
    return fields


def add_fields(fields: dict[str, str], text: str) -> str:
    """
    Add what a query string says, without replacing; returns the first problem.

    :param text: with surrogateescape, as are the results.
    """
    problem = ""
    plain = "%" not in text and "+" not in text
    for piece in text.split("&"):
        if ";" in piece:
            problem = _SEMICOLON  # told before any other, as Go does
            continue
        if not piece:
            continue
        name, _, value = piece.partition("=")
        if not plain:
            try:
                name = _unescape(name)
                value = _unescape(value)
            except golang.BadEscapeError as error:
                problem = problem or str(error)
                continue
        if name not in fields:
            fields[name] = value
    return problem


def all_values(query: str) -> dict[str, list[str]]:
    """Every value of each name, in their order; what makes no sense is left out."""
    values: dict[str, list[str]] = {}
    for piece in query.split("&"):
        fields: dict[str, str] = {}
        add_fields(fields, piece)
        for name, value in fields.items():
            values.setdefault(name, []).append(value)
    return values


def _unescape(text: str) -> str:
    if "+" in text:
        text = text.replace("+", " ")
    if "%" not in text:
        return text
    data = golang.unescape(text.encode("utf-8", "surrogateescape"))
    return data.decode("utf-8", "surrogateescape")


def _checked(fields: dict[str, str], method: str) -> KeyParams:
    """The table of V2-SPEC 3.3, row by row."""
    get = fields.get
    prev_index = _index(get("prevIndex"), "prevIndex")
    wait_index = _index(get("waitIndex"), "waitIndex")
    recursive = _boolean(get("recursive"), '"recursive"')
    in_order = _boolean(get("sorted"), '"sorted"')
    wait = _boolean(get("wait"), '"wait"')
    directory = _boolean(get("dir"), '"dir"')
    quorum = _boolean(get("quorum"), '"quorum"')
    stream = _boolean(get("stream"), '"stream"')
    if wait and method != "GET":
        raise RequestError(INVALID_FIELD, '"wait" can only be used with GET requests')
    prev_value = get("prevValue")
    if prev_value == "":
        raise RequestError(PREV_VALUE_REQUIRED, '"prevValue" cannot be empty')
    no_value = _boolean(get("noValueOnSuccess"), '"noValueOnSuccess"')
    ttl = _ttl(get("ttl"))
    prev_exist_text = get("prevExist")
    prev_exist = _boolean(prev_exist_text, "prevExist")
    refresh = _boolean(get("refresh"), "refresh")
    value = get("value", "")
    if refresh:
        if value:
            raise RequestError(REFRESH_VALUE, "A value was provided on a refresh")
        if ttl is None:
            raise RequestError(REFRESH_TTL_REQUIRED, "No TTL value set")
    return KeyParams(
        value,
        prev_value,
        prev_index,
        None if prev_exist_text is None else prev_exist,
        ttl,
        directory,
        recursive,
        in_order,
        quorum,
        wait,
        wait_index,
        stream,
        refresh,
        no_value,
    )


def parse_uint64(text: str) -> int | None:
    """A decimal number as Go's ParseUint reads it, or None."""
    if not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0")
    if len(digits) > 20:
        return None
    number = int(digits or "0")
    return number if number <= _UINT64_MAX else None


def _index(text: str | None, name: str) -> int:
    if text is None:
        return 0
    number = parse_uint64(text)
    if number is None:
        raise RequestError(INDEX_NOT_A_NUMBER, f'invalid value for "{name}"')
    return number


def _ttl(text: str | None) -> int | None:
    if not text:
        return None
    number = parse_uint64(text)
    if number is None:
        raise RequestError(TTL_NOT_A_NUMBER, 'invalid value for "ttl"')
    return number


def _boolean(text: str | None, shown: str) -> bool:
    if text is None or text in _FALSE:
        return False
    if text in _TRUE:
        return True
    raise RequestError(INVALID_FIELD, f"invalid value for {shown}")
