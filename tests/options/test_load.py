"""File, environment and flags to one configuration, or every mistake at once."""

from __future__ import annotations

import attrs
import pytest
import yaml

from kvd.config import Config
from kvd.errors import ConfigError
from kvd.options.load import load, nearest
from kvd.options.table import BY_NAME, OPTIONS
from kvd.options.unhonoured import UNHONOURED, UNHONOURED_BY_NAME, V3
from kvd.options.values import Boolean, Text


def loaded(file="", *, flags=(), environ=None, new=True):
    def read_file(path):
        assert path == "kvd.yml"
        return file.encode()

    return load(
        flags=[*([("config", "kvd.yml")] if file else []), *flags],
        environ=environ or {},
        read_file=read_file,
        is_new=lambda _: new,
    )


def problems(file="", **others):
    with pytest.raises(ConfigError) as caught:
        loaded(file, **others)
    return list(caught.value.problems)


def test_nothing_at_all_is_one_member_on_the_loopback_interface():
    assert loaded().config == Config()
    assert loaded().warnings == ()


def test_flags_go_before_environment_before_file():
    file = "name: file\nsnapshot-count: 1\nmax-wals: 1\nmax-snapshots: 1\n"
    result = loaded(
        file,
        environ={
            "ETCD_MAX_WALS": "2",
            "ETCD_SNAPSHOT_COUNT": "2",
            "KVD_SNAPSHOT_COUNT": "3",
            "ETCD_NAME": "etcd",
            "KVD_NAME": "kvd",
        },
        flags=[("name", "first"), ("name", "flag")],
    )
    assert result.config.max_snapshots == 1
    assert result.config.max_wals == 2
    assert result.config.snapshot_count == 3
    assert result.config.name == "flag"
    assert (
        "name: flag --name goes before environment variable KVD_NAME" in result.warnings
    )


def test_an_empty_variable_is_an_unset_one():
    assert loaded(environ={"ETCD_NAME": "", "KVD_NAME": ""}).config.name == "default"


def test_the_file_can_be_named_by_the_environment():
    for name in ("KVD_CONFIG_FILE", "ETCD_CONFIG_FILE"):
        result = load(
            flags=(),
            environ={name: "e.yml"},
            read_file=lambda path: f"name: {path[0]}".encode(),
            is_new=lambda _: True,
        )
        assert result.config.name == "e"
        assert result.file == "e.yml"


def test_two_different_files_are_refused():
    lines = problems("name: a", flags=[("config-file", "other.yml")])
    assert lines == ['config-file: expected one file, got "kvd.yml" and "other.yml"']


def test_a_file_that_cannot_be_read_is_one_line():
    def read_file(path):
        raise FileNotFoundError(2, "No such file or directory", path)

    with pytest.raises(ConfigError) as caught:
        load(
            flags=[("config", "none.yml")],
            environ={},
            read_file=read_file,
            is_new=lambda _: True,
        )
    assert caught.value.problems == (
        "config-file: none.yml: No such file or directory",
    )


def test_only_the_name_is_changed_and_the_rest_follows():
    config = loaded("name: m1").config
    assert config.data_dir == "m1.kvd"
    assert config.initial_cluster == (("m1", ("http://localhost:2380",)),)


def test_every_mistake_is_reported_at_once_with_value_and_place():
    lines = problems(
        "snapshot-count: 1_000\n"
        "listen-client-urls: http://example.com:1\n"
        "election-timeout: 400\n"
        "initial-cluster: b=http://127.0.0.1:2380\n"
        "name: {a: b}\n"
        "max-wals: [1, 2]\n"
        "max-wals: 3\n",
        environ={"KVD_PRE_VOTE": "maybe"},
        flags=[("log-level", "loud")],
    )
    assert lines == [
        "kvd.yml:7: max-wals is given twice, first at kvd.yml:6",
        'name: expected a value, not a mapping (got "a=b", kvd.yml:5)',
        (
            "snapshot-count: expected a whole number from 0 to 1000000000 "
            '(got "1_000", kvd.yml:1)'
        ),
        'max-wals: expected a whole number from 0 to 10000 (got "1,2", kvd.yml:6)',
        (
            "listen-client-urls: expected IP in URL for binding (http://example.com:1) "
            '(got "http://example.com:1", kvd.yml:2)'
        ),
        (
            "log-level: expected one of debug, info, warn, error, panic, fatal "
            '(got "loud", flag --log-level)'
        ),
        (
            'pre-vote: expected true or false (got "maybe", environment variable '
            "KVD_PRE_VOTE)"
        ),
        (
            "advertise-client-urls: --advertise-client-urls is required when "
            '--listen-client-urls is set explicitly (got "http://example.com:1", '
            "kvd.yml:2)"
        ),
        (
            "election-timeout: --election-timeout[400ms] should be at least as 5 times as "
            '--heartbeat-interval[100ms] (got "400", kvd.yml:3)'
        ),
    ]


def test_warnings_stand_after_the_mistakes_that_they_may_explain():
    lines = problems(
        "initial-cluser: a=http://127.0.0.1:1\nname: b\nenable-pprof: true\nmax-wals: x\n",
        environ={"ETCD_NAMEE": "c", "KVD_MAX_WALS": "y"},
    )
    assert lines == [
        (
            'max-wals: expected a whole number from 0 to 10000 (got "y", environment '
            "variable KVD_MAX_WALS)"
        ),
        (
            'warning: unknown option "initial-cluser" is ignored, did you mean '
            "initial-cluster? (kvd.yml:1)"
        ),
        (
            "warning: option enable-pprof is known but not honoured (it is a profiler "
            "for Go programs; kvd.yml:3)"
        ),
        (
            'warning: unknown option "namee" is ignored, did you mean name? '
            "(environment variable ETCD_NAMEE)"
        ),
    ]


@pytest.mark.parametrize(
    ("file", "names"),
    [
        # Independent of the bad value beside them.
        (
            "heartbeat-interval: x\nelection-timeout: 60000",
            ["heartbeat-interval", "election-timeout"],
        ),
        (
            "election-timeout: x\nheartbeat-interval: 0",
            ["election-timeout", "heartbeat-interval"],
        ),
        (
            "election-timeout: x\nlisten-client-urls: http://127.0.0.1:9",
            ["election-timeout", "advertise-client-urls"],
        ),
        (
            "heartbeat-interval: x\nlisten-peer-urls: http://localhost:2379",
            ["heartbeat-interval", "listen-peer-urls"],
        ),
        (
            (
                "name: a,b\ndata-dir: d\n"
                "initial-cluster: a=http://127.0.0.1:1,b=http://127.0.0.1:1"
            ),
            ["name", "initial-cluster"],
        ),
        (
            "initial-advertise-peer-urls: x\ninitial-cluster: a=http://127.0.0.1:1",
            ["initial-advertise-peer-urls", "initial-cluster"],
        ),
        (
            "initial-cluster: x\ninitial-cluster-state: old",
            ["initial-cluster", "initial-cluster-state"],
        ),
        (
            "initial-cluster: a=http://127.0.0.1:1\ninitial-cluster-state: existing",
            ["initial-cluster"],
        ),
        (
            "heartbeat-interval: 60000\nelection-timeout: 55000",
            ["election-timeout", "election-timeout"],
        ),
        # Right with the value that was meant, or perhaps: no complaint.
        ("heartbeat-interval: 50 ms\nelection-timeout: 300", ["heartbeat-interval"]),
        ("heartbeat-interval: 300\nelection-timeout: 2s", ["election-timeout"]),
        (
            (
                "listen-client-urls: x\nadvertise-client-urls: http://127.0.0.1:1\n"
                "listen-peer-urls: http://localhost:2379"
            ),
            ["listen-client-urls"],
        ),
        (
            "listen-client-urls: http://localhost:1\nadvertise-client-urls: x",
            ["advertise-client-urls"],
        ),
        ("name: a,b\ninitial-cluster: c=http://127.0.0.1:1", ["name"]),
        ("name: a,b\ninitial-cluster-state: existing", ["name"]),
        ("name: a,b\ndata-dir: d\ninitial-cluster: c=http://127.0.0.1:1", ["name"]),
        (
            "data-dir: ''\ninitial-cluster: c=http://127.0.0.1:1",
            ["data-dir"],
        ),
        (
            (
                "initial-advertise-peer-urls: x\n"
                "initial-cluster: default=http://127.0.0.1:1"
            ),
            ["initial-advertise-peer-urls"],
        ),
        (
            "initial-cluster: x\ninitial-advertise-peer-urls: http://127.0.0.1:1",
            ["initial-cluster"],
        ),
    ],
)
def test_a_bad_value_hides_no_other_mistake_and_makes_none_up(file, names):
    assert [line.split(":")[0] for line in problems(file)] == names


@pytest.mark.parametrize("file", ["a: b: c", "- x"])
def test_what_a_file_that_cannot_be_read_may_say_is_not_missed(file):
    lines = problems(
        file,
        flags=[
            ("listen-client-urls", "http://127.0.0.1:9"),
            ("listen-peer-urls", "http://localhost:2379"),
            ("heartbeat-interval", "300"),
            ("data-dir", "d"),
            ("initial-advertise-peer-urls", "http://127.0.0.1:1"),
            ("max-wals", "x"),
        ],
    )
    assert [line.split(":")[0] for line in lines] == ["kvd.yml", "max-wals"]
    lines = problems(
        file, flags=[("election-timeout", "60000"), ("name", "a"), ("data-dir", "d")]
    )
    assert [line.split(":")[0] for line in lines] == ["kvd.yml", "election-timeout"]


def test_of_two_files_the_other_one_may_say_more():
    lines = problems(
        "name: a",
        flags=[("config-file", "b.yml"), ("listen-client-urls", "http://127.0.0.1:9")],
    )
    assert lines == ['config-file: expected one file, got "kvd.yml" and "b.yml"']


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("heartbeat-interval: 0", "--heartbeat-interval must be >0 (set to 0ms)"),
        ("election-timeout: 0", "--election-timeout must be >0 (set to 0ms)"),
        (
            "election-timeout: 60000",
            (
                "--election-timeout[60000ms] is too long, and should be set less than "
                "50000ms"
            ),
        ),
        (
            "heartbeat-interval: 300",
            (
                "--election-timeout[1000ms] should be at least as 5 times as "
                "--heartbeat-interval[300ms]"
            ),
        ),
        (
            "listen-client-urls: http://127.0.0.1:9",
            (
                "--advertise-client-urls is required when --listen-client-urls is set "
                "explicitly"
            ),
        ),
        (
            "listen-peer-urls: http://localhost:2379",
            "clients and members cannot share an address",
        ),
        (
            "listen-metrics-urls: http://localhost:2379",
            "clients and metrics cannot share an address",
        ),
        (
            "listen-metrics-urls: https://127.0.0.1:9",
            (
                "listen-metrics-urls: TLS key/cert (--cert-file, --key-file) must be "
                "provided for metrics url https://127.0.0.1:9 with HTTPS scheme"
            ),
        ),
        (
            "listen-metrics-urls: http://127.0.0.1:9,http://localhost:2380",
            "members and metrics cannot share an address",
        ),
        (
            "initial-cluster: a=http://127.0.0.1:1",
            'couldn\'t find local name "default" in the initial cluster configuration',
        ),
        (
            "initial-advertise-peer-urls: http://127.0.0.1:5",
            (
                "--initial-cluster has default=http://localhost:2380 but missing from "
                "--initial-advertise-peer-urls=http://127.0.0.1:5"
            ),
        ),
        (
            "initial-advertise-peer-urls: http://127.0.0.1:2380,http://127.0.0.1:5",
            (
                "--initial-advertise-peer-urls has http://127.0.0.1:5 but missing from "
                "--initial-cluster=default=http://localhost:2380"
            ),
        ),
        (
            "initial-cluster: default=http://localhost:2380,b=http://127.0.0.1:2380",
            (
                "initial cluster b=http://127.0.0.1:2380,default=http://localhost:2380 "
                "has duplicate url"
            ),
        ),
    ],
)
def test_options_that_do_not_fit_together(file, said):
    assert any(said in line for line in problems(file)), problems(file)


def test_who_joins_need_not_say_how_it_is_reached():
    # The cluster knows it; etcd compares nothing either.
    file = "initial-cluster: default=http://10.0.0.1:1\ninitial-cluster-state: "
    assert loaded(file + "existing").config.initial_cluster_state == "existing"
    assert any("missing from" in line for line in problems(file + "new"))


def test_initial_options_do_not_matter_once_there_is_a_member():
    file = "initial-cluster: a=http://127.0.0.1:1\ninitial-cluster-state: existing"
    assert loaded(file, new=False).config.name == "default"


def test_advertised_host_names_are_not_compared():
    config = loaded("initial-advertise-peer-urls: http://here.example:2380").config
    assert config.initial_advertise_peer_urls == ("http://here.example:2380",)


def test_unknown_keys_warn_and_suggest():
    result = loaded(
        "listen-client-url: x\nzzzzzz: y\ndata_dir: z\n",
        environ={"ETCD_NAMEE": "secret", "ETCD_UNSUPPORTED_ARCH": "arm"},
    )
    assert result.warnings == (
        (
            'unknown option "listen-client-url" is ignored, did you mean '
            "listen-client-urls? (kvd.yml:1)"
        ),
        'unknown option "zzzzzz" is ignored (kvd.yml:2)',
        'unknown option "data_dir" is ignored, did you mean data-dir? (kvd.yml:3)',
        (
            'unknown option "namee" is ignored, did you mean name? (environment variable '
            "ETCD_NAMEE)"
        ),
    )


def test_kvds_own_options_have_no_etcd_variable():
    result = loaded(environ={"ETCD_SEGMENT_BYTES": "1"})
    assert result.config == Config()
    assert result.warnings == (
        (
            "environment variable ETCD_SEGMENT_BYTES is ignored: it is kvd's own, set "
            "KVD_SEGMENT_BYTES"
        ),
    )
    assert loaded(environ={"KVD_SEGMENT_BYTES": "65536"}).config.segment_bytes == 65536


def other_text(option):
    """What etcd would take and do something else with, empty when there is no such."""
    for text in ("something", "true", "false", "7", "7s", "revision"):
        try:
            inert = option.changes_nothing(text)
        except ValueError:
            continue
        if not inert:
            return text
    return ""


@pytest.mark.parametrize("option", UNHONOURED, ids=lambda option: option.name)
def test_known_options_that_are_not_honoured_are_never_silently_ignored(option):
    text = other_text(option)
    file = f"{option.name}: {text}"
    if not text:
        assert option.name in {"initial-election-tick-advance", "enable-grpc-gateway"}
    elif option.refused:
        (line,) = problems(file)
        assert line.startswith(f"{option.name}: {option.why}")
    elif option.noted:
        (line,) = loaded(file).warnings
        assert line == f"accepted, but {option.why}: {option.name} (kvd.yml:1)"
    else:
        (line,) = loaded(file).warnings
        assert line == (
            f"option {option.name} is known but not honoured ({option.why}; kvd.yml:1)"
        )


def test_one_line_names_all_options_that_have_nothing_yet_to_change():
    (line,) = loaded(
        "quota-backend-bytes: 7\nmax-txn-ops: 128\nexperimental-compaction-batch-limit: 5",
        flags=[("auto-compaction-retention", "1h")],
        environ={"ETCD_MAX_REQUEST_BYTES": "9"},
    ).warnings
    assert line == (
        f"accepted, but {V3}: quota-backend-bytes (kvd.yml:1), "
        "experimental-compaction-batch-limit (kvd.yml:3), max-request-bytes (environment "
        "variable ETCD_MAX_REQUEST_BYTES), auto-compaction-retention (flag "
        "--auto-compaction-retention)"
    )


@pytest.mark.parametrize(
    "file",
    [
        "quota-backend-bytes: x",
        "max-txn-ops: -1",
        "grpc-keepalive-interval: 2",
        "auto-compaction-retention: x",
        "auto-compaction-mode: x",
        "enable-pprof: maybe",
        "cert-file: {a: b}",
    ],
)
def test_an_option_that_is_not_honoured_is_read_all_the_same(file):
    (line,) = problems(file)
    assert line.startswith(f"{file.split(':')[0]}: ")
    assert "expected" in line
    assert line.endswith("kvd.yml:1)")


@pytest.mark.parametrize(
    ("file", "silent"),
    [
        ("enable-v2: True\nenable-pprof: 'FALSE'\nquota-backend-bytes: 00", True),
        ("enable-v2: false", False),
    ],
)
def test_a_value_counts_and_not_how_it_is_written(file, silent):
    if silent:
        assert loaded(file).warnings == ()
    else:
        assert "nothing would be served" in problems(file)[0]


@pytest.mark.parametrize("option", UNHONOURED, ids=lambda option: option.name)
def test_what_kvd_does_anyway_needs_no_warning(option):
    for text in option.inert:
        result = loaded(yaml.safe_dump({option.name: text}))
        assert result.warnings == ()
        assert result.config == Config()


def test_etcds_experiments_are_known():
    (line,) = loaded("experimental-anything: 1").warnings
    assert line.startswith("option experimental-anything is known but not honoured")


def test_etcds_own_sample_file_is_accepted():
    sample = """
name: 'default'
data-dir:
wal-dir:
snapshot-count: 10000
heartbeat-interval: 100
election-timeout: 1000
quota-backend-bytes: 0
listen-peer-urls: http://localhost:2380
listen-client-urls: http://localhost:2379
max-snapshots: 5
max-wals: 5
cors:
initial-advertise-peer-urls: http://localhost:2380
advertise-client-urls: http://localhost:2379
discovery:
discovery-fallback: 'proxy'
discovery-proxy:
discovery-srv:
initial-cluster:
initial-cluster-token: 'etcd-cluster'
initial-cluster-state: 'new'
strict-reconfig-check: false
enable-v2: true
enable-pprof: true
proxy: 'off'
proxy-failure-wait: 5000
client-transport-security:
  cert-file:
  key-file:
  client-cert-auth: false
  trusted-ca-file:
  auto-tls: false
debug: false
logger: zap
log-outputs: [stderr]
force-new-cluster: false
auto-compaction-mode: periodic
auto-compaction-retention: "1"
"""
    result = loaded(sample)
    assert result.config == attrs.evolve(
        Config(),
        snapshot_count=10_000,
        strict_reconfig_check=False,
        logger="zap",
        log_outputs=("stderr",),
    )
    pprof, accepted = result.warnings
    assert "enable-pprof" in pprof
    assert accepted.endswith(f"{V3}: auto-compaction-retention (kvd.yml:39)")


def test_a_file_in_json_is_the_same():
    file = (
        '{"name": "m1", "snapshot-count": 7, "pre-vote": false, "cors": ["a", "b"],\n'
        ' "client-transport-security": {"cert-file": null, "auto-tls": false}}'
    )
    result = loaded(file)
    assert result.warnings == ()
    assert result.config.snapshot_count == 7
    assert result.config.cors == ("a", "b")
    assert not result.config.pre_vote


def test_an_older_name_is_the_same_option():
    result = loaded(flags=[("log-output", "stdout")])
    assert result.config.log_outputs == ("stdout",)
    assert result.given["log-outputs"].where == "flag --log-output"
    assert nearest("log-outptu") == "log-output"


def test_only_name_and_advertised_url_are_enough():
    config = loaded(
        "name: m1\ninitial-advertise-peer-urls: http://10.0.0.1:2380"
    ).config
    assert config.initial_cluster == (("m1", ("http://10.0.0.1:2380",)),)


def test_the_guides_three_member_file_is_accepted():
    config = loaded(
        """
name: etcd-1
data-dir: /data/etcd-1
listen-client-urls: http://10.10.0.1:2379,http://127.0.0.1:2379
advertise-client-urls: http://10.10.0.1:2379,http://127.0.0.1:2379
listen-peer-urls: http://10.10.0.1:2380
initial-advertise-peer-urls: http://10.10.0.1:2380
initial-cluster: etcd-1=http://10.10.0.1:2380,etcd-2=http://10.10.0.2:2380,etcd-3=http://10.10.0.3:2380
initial-cluster-token: etcd-cluster-token
initial-cluster-state: new
"""
    ).config
    assert config.data_dir == "/data/etcd-1"
    assert config.listen_client_urls == (
        "http://10.10.0.1:2379",
        "http://127.0.0.1:2379",
    )
    assert [name for name, _ in config.initial_cluster] == [
        "etcd-1",
        "etcd-2",
        "etcd-3",
    ]


def test_the_table_is_the_configuration():
    assert [option.field for option in OPTIONS if option.field != ""] == [
        field.name for field in attrs.fields(Config)
    ]
    assert not set(BY_NAME) & set(UNHONOURED_BY_NAME)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_default_is_a_value_that_the_option_accepts(option):
    default = getattr(Config(), option.field)
    assert option.kind.read(option.kind.show(default)) == default
    assert option.meaning
    assert option.kind.metavar


# What other options need beside them.
BESIDE = {
    "cert-file": "c",
    "key-file": "k",
    "trusted-ca-file": "a",
    "peer-cert-file": "c",
    "peer-key-file": "k",
    "peer-trusted-ca-file": "a",
}


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_option_can_be_set_by_each_source(option):
    text = {
        "name": "other",
        "initial-cluster": "other=http://127.0.0.1:7",
        "initial-cluster-state": "existing",
        "log-level": "error",
        "cors": "a,b",
        "host-whitelist": "a,b",
        "data-dir": "d",
        "wal-dir": "w",
        "initial-cluster-token": "t",
        "election-timeout": "2000",
        "heartbeat-interval": "50",
        "pre-vote": "false",
        "strict-reconfig-check": "false",
        "json-depth-max": "7",
        "debug": "true",
        "log-package-levels": "http=debug",
        "logger": "zap",
        "log-outputs": "stderr",
        "discovery": "http://d.example/token",
        "discovery-fallback": "exit",
        "discovery-proxy": "p.example:3128",
        "discovery-srv": "example.com",
        "discovery-srv-name": "blue",
        "name-servers": "10.0.0.2,10.0.0.3:5353",
        "proxy": "readonly",
        "metrics": "extensive",
        "cipher-suites": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    }.get(option.name)
    if text is None and "urls" in option.name:
        text = "http://127.0.0.1:7"
    elif text is None and isinstance(option.kind, Boolean):
        text = "true"
    elif text is None and isinstance(option.kind, Text):
        text = "some.pem"
    elif text is None:
        text = str(getattr(Config(), option.field) + 1)
    want = option.kind.read(text)
    assert want != getattr(Config(), option.field)
    base = {"advertise-client-urls": "http://127.0.0.1:9", **BESIDE}
    base.pop(option.name, None)
    variable = "KVD_" + option.name.upper().replace("-", "_")
    file = yaml.safe_dump({option.name: text, **base})
    flags = list(base.items())
    for result in (
        loaded(file, new=False),
        loaded(flags=flags, environ={variable: text}, new=False),
        loaded(flags=[(option.name, text), *flags], new=False),
    ):
        assert getattr(result.config, option.field) == want
        assert option.name in result.given


def test_a_founding_option_that_is_refused_is_not_checked_further():
    (line,) = problems("initial-cluster: nonsense")
    assert line.startswith("initial-cluster: expected name=url")


def test_the_nearest_name_is_found_or_none():
    assert nearest("lisen-peer-urls") == "listen-peer-urls"
    assert nearest("qqqqqqqq") == ""


def test_a_long_or_unprintable_value_is_shown_short_and_clean():
    (line,) = problems(flags=[("snapshot-count", "\x1b[31m" + "9" * 5000)])
    assert len(line) < 250
    assert "\x1b" not in line


# -- proxies -----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["on", "readonly"])
def test_a_proxy_needs_no_urls_of_its_own_to_be_told_to_anybody(mode):
    # Etcd says so too; and its own name need not be one of the members'.
    config = loaded(
        f"proxy: {mode}\nname: p\nlisten-client-urls: http://127.0.0.1:2380\n"
        "listen-peer-urls: http://127.0.0.1:2380\n"
        "initial-cluster: m=http://10.0.0.1:2380,n=http://10.0.0.1:2380\n"
    ).config
    assert config.proxy == mode
    assert config.initial_cluster == (
        ("m", ("http://10.0.0.1:2380",)),
        ("n", ("http://10.0.0.1:2380",)),
    )


def test_what_a_proxy_would_not_need_is_not_asked_for_while_its_mode_is_unsure():
    assert problems("proxy: maybe\nlisten-client-urls: http://127.0.0.1:9\n") == [
        'proxy: expected one of off, readonly, on (got "maybe", kvd.yml:1)'
    ]


def test_a_folder_that_is_a_proxys_needs_no_word_of_it():
    file = "listen-client-urls: http://127.0.0.1:2380\ninitial-cluster: m=http://m:1\n"
    config = load(
        flags=[],
        environ={"KVD_CONFIG_FILE": "kvd.yml"},
        read_file=lambda _: file.encode(),
        is_new=lambda _: True,
        is_proxy=lambda folder: folder == "default.kvd",
    ).config
    assert config.proxy == "off"


def test_the_times_of_a_proxy_are_etcds():
    config = loaded("proxy: off\n").config
    assert config.proxy_failure_wait == 5000
    assert config.proxy_refresh_interval == 30000
    assert config.proxy_dial_timeout == 1000
    assert config.proxy_write_timeout == 5000
    assert config.proxy_read_timeout == 0
