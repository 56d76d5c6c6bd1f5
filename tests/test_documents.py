"""Documents that repeat what the code says, and must say the same."""

from __future__ import annotations

import os
import re
from pathlib import Path

import attrs
import pytest
import yaml

from kvd.config import Config
from kvd.options.load import load
from kvd.options.table import OPTIONS
from kvd.options.unhonoured import UNHONOURED

ROOT = Path(__file__).parent.parent
BEGIN = ".. table of options"
END = ".. end of table"


def options_table() -> str:
    lines = [
        ".. list-table::",
        "   :header-rows: 1",
        "   :widths: 25 20 55",
        "",
        "   * - option",
        "     - default",
        "     - meaning",
    ]
    for option in OPTIONS:
        default = f"``{option.default_text}``" if option.default_text else "(empty)"
        meaning = option.meaning.replace("*", "\\*")
        lines += [
            f"   * - ``{option.name}``" + (" (kvd's own)" if option.ours else ""),
            f"     - {default}",
            f"     - {meaning}",
        ]
    return "\n".join(lines)


def unhonoured_table() -> str:
    lines = [
        ".. list-table::",
        "   :header-rows: 1",
        "   :widths: 30 20 50",
        "",
        "   * - etcd's option",
        "     - otherwise",
        "     - why",
    ]
    for option in UNHONOURED:
        lines += [
            f"   * - ``{option.name}``",
            f"     - {'refused' if option.refused else 'warning'}",
            f"     - {option.why}",
        ]
    return "\n".join(lines)


def with_tables(text: str) -> str:
    """The page with its two generated parts made anew."""
    for table in (options_table(), unhonoured_table()):
        name = table.splitlines()[4].strip("* -\n").strip()
        begin, end = f".. begin: {name}\n", f".. end: {name}\n"
        before, rest = text.split(begin)
        _, after = rest.split(end)
        text = f"{before}{begin}\n{table}\n\n{end}{after}"
    return text


def test_the_configuration_page_lists_every_option():
    """``KVD_REWRITE=1`` writes the tables anew."""
    page = ROOT / "docs" / "configuration.rst"
    text = page.read_text(encoding="utf-8")
    expected = with_tables(text)
    if os.environ.get("KVD_REWRITE") == "1":
        page.write_text(expected, encoding="utf-8")
    assert page.read_text(encoding="utf-8") == expected


def test_all_options_are_in_the_commented_example_with_their_defaults():
    path = ROOT / "conf" / "all-options.yml"
    data = path.read_bytes()
    names = list(yaml.safe_load(data))
    assert names == [option.name for option in OPTIONS]
    assert [option.field for option in OPTIONS] == [
        field.name for field in attrs.fields(Config)
    ]
    loaded = load(
        flags=[("config", str(path))],
        environ={},
        read_file=lambda _: data,
        is_new=lambda _: True,
    )
    assert loaded.config == Config()
    assert loaded.warnings == ()
    comments = data.decode().replace("\n# ", " ")
    for option in OPTIONS:
        assert option.meaning in comments


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
