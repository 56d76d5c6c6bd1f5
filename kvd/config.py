"""A member's configuration: one frozen value, from YAML, environment and flags."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Config:
    """
    Names are etcd's with underscores; units are in the comments, as etcd fixes them.

    URLs are kept as given, lists as tuples. Everything is checked before one is made.
    """

    name: str = "default"
    data_dir: str = "default.kvd"
    wal_dir: str = ""  # empty: inside data_dir
    snapshot_count: int = 100_000  # applied entries between snapshots
    snapshot_catchup_entries: int = 5_000  # kept behind a snapshot (etcd's constant)
    heartbeat_interval: int = 100  # ms
    election_timeout: int = 1_000  # ms
    max_snapshots: int = 5  # files, 0: keep all
    max_wals: int = 5  # files, 0: keep all
    listen_client_urls: tuple[str, ...] = ("http://localhost:2379",)
    advertise_client_urls: tuple[str, ...] = ("http://localhost:2379",)
    listen_peer_urls: tuple[str, ...] = ("http://localhost:2380",)
    initial_advertise_peer_urls: tuple[str, ...] = ("http://localhost:2380",)
    # name -> peer URLs; empty: to be discovered
    initial_cluster: tuple[tuple[str, tuple[str, ...]], ...] = (
        ("default", ("http://localhost:2380",)),
    )
    initial_cluster_token: str = "etcd-cluster"  # noqa: S105 -- not a secret
    initial_cluster_state: str = "new"
    discovery: str = ""
    discovery_fallback: str = "proxy"
    discovery_proxy: str = ""
    discovery_srv: str = ""
    discovery_srv_name: str = ""
    cors: tuple[str, ...] = ("*",)
    host_whitelist: tuple[str, ...] = ("*",)
    log_level: str = "info"
    debug: bool = False  # goes before log_level
    log_package_levels: tuple[tuple[str, str], ...] = ()  # package, level
    logger: str = "capnslog"
    log_outputs: tuple[str, ...] = ("default",)
    force_new_cluster: bool = False
    listen_metrics_urls: tuple[str, ...] = ()
    metrics: str = "basic"
    strict_reconfig_check: bool = True
    pre_vote: bool = True
    proxy: str = "off"
    proxy_failure_wait: int = 5_000  # ms
    proxy_refresh_interval: int = 30_000  # ms
    proxy_dial_timeout: int = 1_000  # ms
    proxy_write_timeout: int = 5_000  # ms, 0: the system's
    proxy_read_timeout: int = 0  # ms, 0: none
    bcrypt_cost: int = 10  # a password's hash takes 2 to this power rounds
    cert_file: str = ""
    key_file: str = ""
    client_cert_auth: bool = False
    trusted_ca_file: str = ""
    ca_file: str = ""  # old: trusted_ca_file and client_cert_auth in one
    auto_tls: bool = False
    client_crl_file: str = ""
    client_cert_allowed_hostname: str = ""
    peer_cert_file: str = ""
    peer_key_file: str = ""
    peer_client_cert_auth: bool = False
    peer_trusted_ca_file: str = ""
    peer_ca_file: str = ""
    peer_auto_tls: bool = False
    peer_crl_file: str = ""
    peer_cert_allowed_cn: str = ""
    peer_cert_allowed_hostname: str = ""
    cipher_suites: tuple[str, ...] = ()  # Go's names
    # kvd's own
    tls_handshake_timeout: int = 10_000  # ms
    tls_handshakes_max: int = 1_000  # on one port
    tls_reload_interval: int = 10_000  # ms
    name_servers: tuple[tuple[str, int], ...] = ()  # IPv4 address and port
    segment_bytes: int = 64 << 20
    disk_floor_bytes: int = 64 << 20  # below: writes refused, reads served
    disk_check_interval: int = 1_000  # ms
    request_bytes_max: int = 10 << 20  # a form body, as etcd
    header_bytes_max: int = 1 << 20
    header_count_max: int = 500
    request_line_bytes_max: int = 1 << 20
    path_depth_max: int = 4_096  # names of a key
    path_bytes_max: int = 64 << 10
    header_timeout: int = 60_000  # ms, absolute, from the first byte
    body_timeout: int = 300_000  # ms, absolute, from the end of the headers
    idle_timeout: int = 0  # ms between two requests, 0: for ever, as etcd
    connections_max: int = 10_000
    pipelined_max: int = 64  # requests read ahead on one connection
    watchers_max: int = 100_000
    event_history: int = 1_000  # events
    stream_backlog_max: int = 100  # events of a stream watcher not yet taken
    proposals_pending_max: int = 20_000
    outbox_bytes_max: int = 256 << 20  # of writes that no leader has taken yet
    peer_queue_bytes_max: int = 16 << 20  # for each peer
    json_depth_max: int = 64
    auth_cache_max: int = 10_000  # credentials remembered, right ones and wrong ones
    auth_checks_running_max: int = 2  # password checks at one time
    auth_checks_waiting_max: int = 256
    join_as_voter: bool = False  # else a new member learns first
