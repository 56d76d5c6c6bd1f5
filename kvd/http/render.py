"""JSON as Go writes it for etcd (V2-SPEC 5), from a store's values to bytes."""

from __future__ import annotations

from datetime import datetime, timedelta
from json.encoder import encode_basestring as _plain_quote

from kvd.v2.events import Event, NodeView

# c_encode_basestring in fact; it escapes at least what JSON needs.
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 -- naive on purpose: printed with Z
_SECOND = 1_000_000_000
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
# Backslash first, so that it does not meet the escapes of the others.
_ESCAPES = (
    ("\\", "\\\\"),
    ('"', '\\"'),
    *(
        (chr(point), {9: "\\t", 10: "\\n", 13: "\\r"}.get(point, f"\\u{point:04x}"))
        for point in range(0x20)
    ),
    ("<", "\\u003c"),
    (">", "\\u003e"),
    ("&", "\\u0026"),
    ("\u2028", "\\u2028"),
    ("\u2029", "\\u2029"),
)


def quoted(text: str) -> str:
    """
    A JSON string with its quotes.

    Surrogates, which stand for bytes that are no UTF-8, are left for :func:`encode`.
    """
    out = _plain_quote(text)
    if (
        len(out) == len(text) + 2  # nothing had to be escaped
        and "<" not in out
        and ">" not in out
        and "&" not in out
        and (out.isascii() or ("\u2028" not in out and "\u2029" not in out))
    ):
        return out
    for char, escape in _ESCAPES:
        if char in text:
            text = text.replace(char, escape)
    return f'"{text}"'


def encode(document: str) -> bytes:
    r"""A JSON document as UTF-8; each byte that was none becomes ``\ufffd``."""
    try:
        return document.encode()
    except UnicodeEncodeError:
        # No control character is left in the document, so NUL can stand in for "?"
        # while the codec marks all surrogates with one, at its own speed.
        marked = document.replace("?", "\0").encode("utf-8", "replace")
        return marked.replace(b"?", b"\\ufffd").replace(b"\0", b"?")


def event_json(event: Event, *, now_ns: int) -> bytes:
    """
    An event with its line end.

    A change shows the ttl of its own time, also when it is replayed much later, as
    etcd does; a get that of ``now_ns``.
    """
    now_ns = event.time_ns or now_ns
    prev = event.prev
    node = _node(event.node, now_ns)
    if prev is None:
        return encode(f'{{"action":"{event.action}","node":{node}}}\n')
    return encode(
        f'{{"action":"{event.action}","node":{node},'
        f'"prevNode":{_node(prev, now_ns)}}}\n'
    )


def error_json(code: int, message: str, cause: str, index: int) -> bytes:
    """An error of the keys API with its line end."""
    middle = f',"cause":{quoted(cause)}' if cause else ""
    return encode(
        f'{{"errorCode":{code},"message":{quoted(message)}{middle},"index":{index}}}\n'
    )


def message_json(message: str) -> bytes:
    """An error of the other APIs; these have no line end."""
    return encode(f'{{"message":{quoted(message)}}}')


def rfc3339_nano(time_ns: int) -> str:
    """UTC with up to nine digits of fraction, without zeros at its end."""
    seconds, nanos = divmod(time_ns, _SECOND)
    moment = _EPOCH + timedelta(seconds=seconds)
    fraction = f".{nanos:09d}".rstrip("0") if nanos else ""
    return f"{moment.isoformat()}{fraction}Z"


def ttl_seconds(expiration_ns: int, *, now_ns: int) -> int:
    """What is left, rounded up; may be negative."""
    left = max(_INT64_MIN, min(_INT64_MAX, expiration_ns - now_ns))
    return -(-left // _SECOND)


def _node(node: NodeView, now_ns: int) -> str:
    if node.nodes is None and node.expiration_ns is None and node.value is not None:
        return (
            f'{{"key":{quoted(node.key)},"value":{quoted(node.value)},'
            f'"modifiedIndex":{node.modified_index},'
            f'"createdIndex":{node.created_index}}}'
        )
    return _tree(node, now_ns)


def _tree(root: NodeView, now_ns: int) -> str:
    """Any node; deep trees are walked with a list, not by recursion."""
    out: list[str] = []
    # What is still to be written, last first: nodes, and text between them.
    left: list[NodeView | str] = [root]
    while left:
        node = left.pop()
        if isinstance(node, str):
            out.append(node)
            continue
        before = _fields_before_nodes(node, now_ns)
        after = _indexes(node)
        if not node.nodes:
            out.append("{" + ",".join([*before, *after]) + "}")
            continue
        out.append("{" + ",".join([*before, '"nodes":[']))
        left.append("]" + "".join(f",{field}" for field in after) + "}")
        for child in reversed(node.nodes):
            left.append(child)
            left.append(",")
        left.pop()
    return "".join(out)


def _fields_before_nodes(node: NodeView, now_ns: int) -> list[str]:
    fields = []
    if node.key and node.key != "/":
        fields.append(f'"key":{quoted(node.key)}')
    if node.value is not None:
        fields.append(f'"value":{quoted(node.value)}')
    if node.dir:
        fields.append('"dir":true')
    if node.expiration_ns is not None:
        fields.append(f'"expiration":"{rfc3339_nano(node.expiration_ns)}"')
        ttl = ttl_seconds(node.expiration_ns, now_ns=now_ns)
        if ttl:
            fields.append(f'"ttl":{ttl}')
    return fields


def _indexes(node: NodeView) -> list[str]:
    fields = []
    if node.modified_index:
        fields.append(f'"modifiedIndex":{node.modified_index}')
    if node.created_index:
        fields.append(f'"createdIndex":{node.created_index}')
    return fields
