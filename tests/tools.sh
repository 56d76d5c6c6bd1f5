#!/usr/bin/env bash
# The programs that tests drive kvd with. As root on Debian, missing ones are installed;
# elsewhere their tests are skipped and named. With CI=true nothing may be missing.
set -euo pipefail

declare -A package=(
    [etcd]=etcd-server [etcdctl]=etcd-client [curl]=curl [wrk]=wrk [ip]=iproute2
    [zsh]=zsh [fish]=fish
)
declare -A used_by=(
    [etcd]="conformance tests and bench" [etcdctl]="client tests"
    [curl]="README tests" [wrk]="bench" [ip]="network namespace tests"
    [zsh]="tests of its completion" [fish]="tests of its completion"
)

missing() {
    local tool
    for tool in etcd etcdctl curl wrk ip zsh fish; do
        command -v "$tool" > /dev/null || echo "$tool"
    done
}

tools=$(missing)
if [ -n "$tools" ] && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    packages=$(for tool in $tools; do echo "${package[$tool]}"; done)
    echo "installing" $packages "..."
    # Debian starts a server that it installs; this one must not take port 2379.
    guard=
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        guard=/usr/sbin/policy-rc.d
        printf '#!/bin/sh\nexit 101\n' > "$guard"
        chmod 755 "$guard"
        trap 'rm -f "$guard"' EXIT
    fi
    log=$(mktemp)
    export DEBIAN_FRONTEND=noninteractive
    install() {
        apt-get -qq -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 \
            -o DPkg::Lock::Timeout=120 install --no-install-recommends -y \
            $packages < /dev/null >> "$log" 2>&1
    }
    install || {
        apt-get -qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120 update \
            < /dev/null >> "$log" 2>&1 && install
    } || tail -n 5 "$log" >&2
    rm -f "$log"
    tools=$(missing)
fi

for tool in $tools; do
    echo "$tool is missing (Debian: ${package[$tool]}): ${used_by[$tool]} are skipped"
done
if [ -n "$tools" ] && [ "${CI:-}" = true ]; then
    echo "CI=true: nothing may be skipped" >&2
    exit 1
fi
