"""
The configuration file: a YAML (hence also JSON) mapping from option to value.

The text of a value is taken as it stands, so that no YAML notion of numbers, dates or
octal changes it; only ``null`` means that the option is not set.
"""

from __future__ import annotations

from typing import Final, Protocol

import yaml

from kvd.errors import ConfigError
from kvd.options.given import Given, shown
from kvd.options.sections import SECTIONS

BYTES_MAX: Final = 64 << 10
_DEPTH_MAX: Final = 8
_NULL: Final = "tag:yaml.org,2002:null"
_NOTHING: Final = frozenset({"", "false", "[]", "{}"})


class _Mark(Protocol):
    line: int
    column: int


def read_document(data: bytes, path: str) -> tuple[dict[str, Given], list[str]]:
    """
    The options of a file, by the names that stand there, and what is wrong with it.

    :raises ConfigError: it is not such a file; the line names file, line and column.
    """
    if len(data) > BYTES_MAX:
        raise ConfigError([f"{path}: longer than {BYTES_MAX} bytes"])
    text = _decoded(data, path)
    try:
        _check_shape(text, path)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        line, column = _place(text, error.position)
        raise ConfigError(
            [f"{path}:{line}:{column}: a character that YAML does not allow"]
        ) from None
    except yaml.MarkedYAMLError as error:
        place = _marked(error.problem_mark or error.context_mark)
        said = shown(error.problem or error.context or "not YAML")[1:-1]
        raise ConfigError([f"{path}{place}: not valid YAML: {said}"]) from None
    except ValueError as error:  # PyYAML's own, for example an impossible code point
        raise ConfigError([f"{path}: not valid YAML: {error}"]) from None
    if root is None or root.tag == _NULL:
        return {}, []
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError([f"{path}:1:1: expected lines such as name: value"])
    options: dict[str, Given] = {}
    problems: list[str] = []
    _read_options(root, path, "", options, problems)
    return options, problems


def _read_options(
    root: yaml.MappingNode,
    path: str,
    section: str,
    options: dict[str, Given],
    problems: list[str],
) -> None:
    names = SECTIONS.get(section, {})
    for key, value in root.value:
        where = f"{path}:{key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode):
            problems.append(f"{where}: expected an option's name")
            continue
        name = names.get(key.value, f"{section}: {key.value}") if section else key.value
        if name in options:
            first = options[name].where
            problems.append(f"{where}: {name} is given twice, first at {first}")
        elif value.tag == _NULL:
            pass
        elif name not in SECTIONS:
            options[name] = _given(value, where)
        elif isinstance(value, yaml.MappingNode):
            _read_options(value, path, name, options, problems)
        else:
            problems.append(f"{where}: {name}: expected lines such as cert-file: path")


def _given(node: yaml.Node, where: str) -> Given:
    if isinstance(node, yaml.ScalarNode):
        return Given(str(node.value), where)
    if isinstance(node, yaml.SequenceNode):
        items = [_given(item, where) for item in node.value if item.tag != _NULL]
        return Given(
            ",".join(item.text for item in items),
            where,
            nested=any(item.nested for item in items),
        )
    pairs = [
        (str(key.value), _given(value, where).text)
        for key, value in node.value
        if value.tag != _NULL
    ]
    text = ",".join(f"{key}={text}" for key, text in pairs if text not in _NOTHING)
    return Given(text, where, nested=True)


def _check_shape(text: str, path: str) -> None:
    """Refuse what would cost more than its length: depth, and aliases."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        said = ""
        if isinstance(event, yaml.AliasEvent):
            said = "aliases are not supported"
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            said = "nested too deeply" if depth > _DEPTH_MAX else ""
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if said:
            raise ConfigError([f"{path}{_marked(event.start_mark)}: {said}"])


def _decoded(data: bytes, path: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _place(data[: error.start].decode("utf-8-sig"), error.start)
        raise ConfigError(
            [
                f"{path}:{line}:{column}: expected UTF-8, found byte {data[error.start]:#04x}"
            ]
        ) from None


def _place(text: str, position: int) -> tuple[int, int]:
    """Line and column, from 1, of a position in text."""
    before = text[:position]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _marked(mark: _Mark | None) -> str:
    return f":{mark.line + 1}:{mark.column + 1}" if mark else ""
