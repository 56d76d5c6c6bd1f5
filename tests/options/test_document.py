"""What a configuration file may look like."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies

from kvd.errors import ConfigError
from kvd.options.document import BYTES_MAX, read_document


def refused(data: bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        read_document(data, "kvd.yml")
    (line,) = caught.value.problems
    return line


def test_the_text_of_a_value_is_taken_as_it_stands():
    options, problems = read_document(
        b"name: 0012\nlog-level: on\nwal-dir: 2020-01-01\ncors:\nx: ''\n", "kvd.yml"
    )
    assert {name: given.text for name, given in options.items()} == {
        "name": "0012",
        "log-level": "on",
        "wal-dir": "2020-01-01",
        "x": "",
    }
    assert options["wal-dir"].where == "kvd.yml:3"
    assert problems == []


def test_a_list_is_joined_by_commas():
    options, _ = read_document(b"cors: [a, b, null]\n", "kvd.yml")
    assert options["cors"].text == "a,b"
    assert not options["cors"].nested


def test_json_is_read_too():
    options, _ = read_document(b'{"name": "a", "cors": ["b"]}', "kvd.json")
    assert options["name"].text == "a"
    assert options["cors"].text == "b"


def test_a_mapping_keeps_what_is_set_in_it():
    options, _ = read_document(
        b"x: [{a: b}]\ny:\n  a:\n  b: false\n  c: d\n", "kvd.yml"
    )
    assert options["x"].nested
    assert options["y"].text == "c=d"
    assert options["y"].nested


def test_the_sections_of_a_file_of_etcds_hold_options():
    options, problems = read_document(
        b"client-transport-security:\n  cert-file: c\n  auto-tls: false\n  key-file:\n"
        b"  other: 1\npeer-transport-security: {client-cert-auth: true}\n",
        "kvd.yml",
    )
    assert {name: (given.text, given.where) for name, given in options.items()} == {
        "cert-file": ("c", "kvd.yml:2"),
        "auto-tls": ("false", "kvd.yml:3"),
        "client-transport-security: other": ("1", "kvd.yml:5"),
        "peer-client-cert-auth": ("true", "kvd.yml:6"),
    }
    assert problems == []


def test_mistakes_in_a_section_have_their_places():
    _, problems = read_document(
        b"peer-cert-file: a\npeer-transport-security:\n  cert-file: b\n  [c]: d\n"
        b"client-transport-security: yes\n",
        "kvd.yml",
    )
    assert problems == [
        "kvd.yml:3: peer-cert-file is given twice, first at kvd.yml:1",
        "kvd.yml:4: expected an option's name",
        (
            "kvd.yml:5: client-transport-security: expected lines such as "
            "cert-file: path"
        ),
    ]


@pytest.mark.parametrize("data", [b"", b"# nothing\n", b"---\n", b"null\n"])
def test_an_empty_file_sets_nothing(data):
    assert read_document(data, "kvd.yml") == ({}, [])


def test_a_byte_order_mark_is_skipped():
    assert read_document(b"\xef\xbb\xbfname: a", "kvd.yml")[0]["name"].text == "a"


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"a: 1\nname: \xff", "kvd.yml:2:7: expected UTF-8, found byte 0xff"),
        (b"a: 1\n\x01", "kvd.yml:2:1: a character that YAML does not allow"),
        (b"- a", "kvd.yml:1:1: expected lines such as name: value"),
        (b"text", "kvd.yml:1:1: expected lines such as name: value"),
        (b"a: &x 1\nb: *x", "kvd.yml:2:4: aliases are not supported"),
        (b"[" * 60000, "kvd.yml:1:9: nested too deeply"),
        (b"#" * (BYTES_MAX + 1), f"kvd.yml: longer than {BYTES_MAX} bytes"),
    ],
)
def test_what_is_not_a_configuration_file_is_one_line(data, line):
    assert refused(data) == line


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"name: 'a\n", "kvd.yml:2:1: not valid YAML: "),
        (b"a: b: c", "kvd.yml:1:5: not valid YAML: "),
        (b"a: 1\n--- \nb: 2", "kvd.yml:2:1: not valid YAML: "),
        (b'a: "\\U00110000"', "kvd.yml: not valid YAML: "),
    ],
)
def test_bad_yaml_names_its_place(data, place):
    assert refused(data).startswith(place)


def test_every_repeated_or_odd_name_is_reported():
    options, problems = read_document(b"a: 1\na: 2\n[b]: 3\na: 4\n", "kvd.yml")
    assert options["a"].text == "1"
    assert problems == [
        "kvd.yml:2: a is given twice, first at kvd.yml:1",
        "kvd.yml:3: expected an option's name",
        "kvd.yml:4: a is given twice, first at kvd.yml:1",
    ]


@settings(max_examples=300, deadline=None)
@given(
    strategies.binary(max_size=60)
    | strategies.text(alphabet="ab:-[]{},&*!|>'\"%@#? \n\t\\", max_size=60).map(
        str.encode
    )
)
def test_garbage_is_read_or_refused_cleanly(data):
    try:
        options, problems = read_document(data, "kvd.yml")
    except ConfigError as error:
        problems = error.problems
    else:
        assert all(isinstance(name, str) for name in options)
    assert all("\n" not in line and line.startswith("kvd.yml") for line in problems)
