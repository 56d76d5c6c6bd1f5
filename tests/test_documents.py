"""
Documents that repeat what the code says, and must say the same.

``make tables`` (or ``KVD_REWRITE=1`` here) writes those parts anew.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterable
from pathlib import Path

import attrs
import pytest

from kvd.config import Config
from kvd.diagnostics.table import ETCD, OWN, PROCESS
from kvd.http.keyerrors import ERRORS
from kvd.options.load import load
from kvd.options.sections import SECTIONED
from kvd.options.table import OPTIONS
from kvd.options.unhonoured import UNHONOURED, UNHONOURED_BY_NAME

ROOT = Path(__file__).parent.parent
REWRITE = os.environ.get("KVD_REWRITE") == "1"
STALE = "not what the code says any more; make tables writes it anew"
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/,=-]*")
# Hyphened words between back quotes that are no options.
NO_OPTIONS = ("on-failure",)
EXAMPLE_HEAD = """\
# Every option with its default. Copy what you change; the rest needs no line.
# docs/configuration.rst says how file, environment and flags go together.
"""


def listed(widths: str, *rows: Iterable[str]) -> str:
    """A table of reStructuredText, its first row the header."""
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {widths}", ""]
    for row in rows:
        mark = "   * -"
        for cell in row:
            lines.append(f"{mark} {cell}".rstrip())
            mark = "     -"
    return "\n".join(lines)


def literal(text: str, otherwise: str = "(empty)") -> str:
    return f"``{text}``" if text else otherwise


def prose(text: str) -> str:
    return text.replace("*", "\\*")


def variables(name: str, *, ours: bool) -> str:
    upper = name.upper().replace("-", "_")
    return f"``KVD_{upper}``" if ours else f"``ETCD_{upper}``"


def file_key(name: str) -> str:
    """The same name, but for what etcd keeps in sections of their own."""
    return literal(": ".join(SECTIONED.get(name, (name,))))


def options_table() -> str:
    return listed(
        "18 20 18 14 8 32",
        ("option", "variable", "file key", "default", "since", "meaning; difference"),
        *(
            (
                " or ".join(map(literal, (option.name, *option.old_names))),
                variables(option.name, ours=option.ours),
                file_key(option.name),
                literal(option.default_text),
                option.since,
                prose(option.meaning)
                + (" *(kvd's own)*" if option.ours else "")
                + (f". {prose(option.difference)}" if option.difference else ""),
            )
            for option in OPTIONS
        ),
    )


def unhonoured_table() -> str:
    return listed(
        "20 22 22 12 10 24",
        ("option", "variable", "file key", "etcd's default", "otherwise", "why"),
        *(
            (
                literal(option.name),
                variables(option.name, ours=False),
                file_key(option.name),
                literal(option.default_text),
                option.otherwise,
                prose(option.why),
            )
            for option in UNHONOURED
        ),
    )


def limits_table() -> str:
    return listed(
        "22 30 14 34",
        ("option", "limit", "default", "when it is reached"),
        *(
            (
                literal(option.name),
                prose(option.meaning),
                literal(option.default_text),
                prose(option.reached),
            )
            for option in OPTIONS
            if option.reached
        ),
    )


def metrics_table() -> str:
    return listed(
        "46 12 18 34",
        ("metric", "type", "labels", "meaning"),
        *(
            (
                literal(each.name),
                each.kind.value,
                ", ".join(map(literal, each.labels)),
                each.meaning,
            )
            for each in (*ETCD, *OWN, *PROCESS)
        ),
    )


def with_tables(text: str, tables: dict[str, str]) -> str:
    """The page with its generated parts made anew."""
    for name, table in tables.items():
        begin, end = f".. begin: {name}\n", f".. end: {name}\n"
        before, rest = text.split(begin)
        _, after = rest.split(end)
        text = f"{before}{begin}\n{table}\n\n{end}{after}"
    return text


def example() -> str:
    """Every option on its default, below what it means."""
    blocks = [EXAMPLE_HEAD]
    for option in OPTIONS:
        text = option.kind.show(getattr(Config(), option.field))
        value = text if PLAIN.fullmatch(text) else f'"{text}"'
        comment = textwrap.fill(
            option.meaning, 78, initial_indent="# ", subsequent_indent="# "
        )
        blocks.append(f"{comment}\n{option.name}: {value}\n")
    return "\n".join(blocks)


def check(path: Path, expected: str) -> None:
    if REWRITE:
        path.write_text(expected, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == expected, f"{path.name}: {STALE}"


def test_the_configuration_page_lists_every_option_and_every_limit():
    page = ROOT / "docs" / "configuration.rst"
    tables = {
        "options": options_table(),
        "options not honoured": unhonoured_table(),
        "limits": limits_table(),
    }
    check(page, with_tables(page.read_text(encoding="utf-8"), tables))


def test_the_page_for_operators_lists_every_metric():
    """Nothing else is served: see tests/diagnostics/test_exposition.py."""
    page = ROOT / "docs" / "monitoring.rst"
    tables = {"metrics": metrics_table()}
    check(page, with_tables(page.read_text(encoding="utf-8"), tables))


@pytest.mark.parametrize("page", ["monitoring.rst", "tuning.rst"])
def test_every_metric_that_is_spoken_of_exists(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    names = set(re.findall(r"\b(?:kvd|etcd|os_fd|process)_[a-z_]+", text))
    served = {each.name for each in (*ETCD, *OWN, *PROCESS)}
    assert {name.removesuffix("_bucket") for name in names} <= served | {
        "etcd_",
        "process_",
    }
    assert len(names) > 5


@pytest.mark.parametrize("page", ["operating.rst", "clusters.rst", "tuning.rst"])
def test_every_option_that_is_spoken_of_exists(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    known = {option.name for option in OPTIONS}
    words = re.findall(r"``([a-z]+(?:-[a-z]+)+)``", text)
    assert [word for word in words if word not in {*known, *NO_OPTIONS}] == []
    assert len(set(words)) > 5


def test_the_page_on_tuning_has_the_defaults():
    text = (ROOT / "docs" / "tuning.rst").read_text(encoding="utf-8")
    defaults = {option.name: option.default_text for option in OPTIONS}
    said = re.findall(r"``([a-z-]+)`` +\(?(\d+|on)\b( MiB)?", text)
    assert len(said) > 8
    for name, number, unit in said:
        size = str(int(number) << 20) if unit else number
        assert defaults[name] == {"on": "true"}.get(size, size), name


def test_the_page_on_the_api_lists_every_error():
    text = (ROOT / "docs" / "v2-api.rst").read_text(encoding="utf-8")
    rows = re.findall(r"^(\d{3})  +(\d{3})  +(.*?)(?:  .*)?$", text, re.MULTILINE)
    # Two more are etcd's, which no server sends.
    assert {int(code): (int(status), message) for code, status, message in rows} == {
        code: error for code, error in ERRORS.items() if code not in {301, 400}
    }


def test_the_commented_example_has_every_option():
    check(ROOT / "conf" / "all-options.yml", example())


def test_options_stand_in_the_order_of_the_configuration_s_fields():
    assert [option.field for option in OPTIONS] == [
        field.name for field in attrs.fields(Config)
    ]
    assert not {option.name for option in OPTIONS} & set(UNHONOURED_BY_NAME)


def test_the_commented_example_is_the_defaults():
    data = (ROOT / "conf" / "all-options.yml").read_bytes()
    loaded = load(
        flags=[("config", "all-options.yml")],
        environ={},
        read_file=lambda _: data,
        is_new=lambda _: True,
    )
    assert loaded.config == Config()
    assert loaded.warnings == ()


@pytest.mark.parametrize(
    "path", sorted((ROOT / "conf").rglob("*.yml")), ids=lambda path: path.name
)
def test_every_example_can_be_started_as_it_stands(path):
    loaded = load(
        flags=[("config", str(path))],
        environ={},
        read_file=lambda _: path.read_bytes(),
        is_new=lambda _: True,
    )
    assert loaded.warnings == ()


def test_the_three_example_members_know_each_other():
    configs = [
        load(
            flags=[("config", name)],
            environ={},
            read_file=lambda name: (ROOT / "conf" / "cluster" / name).read_bytes(),
            is_new=lambda _: True,
        ).config
        for name in ("etcd-1.yml", "etcd-2.yml", "etcd-3.yml")
    ]
    assert len({config.initial_cluster for config in configs}) == 1
    assert [config.name for config in configs] == [
        name for name, _ in configs[0].initial_cluster
    ]
    assert len({config.data_dir for config in configs}) == 3
    urls = [config.listen_client_urls + config.listen_peer_urls for config in configs]
    assert len({url for each in urls for url in each}) == 6


def test_every_dependency_has_its_reason():
    text = (ROOT / "docs" / "design" / "dependencies.rst").read_text(encoding="utf-8")
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    names = re.findall(r'^ +"([a-z.-]+)(?:\[\w+\])?[=>]=', setup, re.MULTILINE)
    names += re.findall(r'^ +"(types-[a-z]+)",', setup, re.MULTILINE)
    assert len(names) > 15
    assert [name for name in names if f"``{name}``" not in text] == []
