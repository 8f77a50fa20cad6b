#!/usr/bin/env bash
# Installs the locked packages of tests/node: clients and servers that nobody here wrote, which judge our fakes.
# Needs npm; as root, Debian's package is installed where there is none. Without it, the tests that need it say so.
set -euo pipefail
cd "$(dirname "$0")/../tests/node"

say() { echo "setup: $*" >&2; }

if ! command -v npm >/dev/null; then
    case "${DEMO_INSTALL:-yes}" in no | 0 | false) forbidden=1 ;; *) forbidden= ;; esac
    if [ "$(id -u)" != 0 ] || [ -n "$forbidden" ] || ! command -v apt-get >/dev/null; then
        say "there is no npm, so the fake forges are not judged by others; install it with: sudo apt-get install -y npm"
        [ "${HYBRID_CI_REQUIRE_NODE:-0}" = 0 ] || exit 2
        exit 0
    fi
    say "there is no npm; installing it: apt-get install -y --no-install-recommends npm"
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    install=(apt-get -q install -y --no-install-recommends npm)
    "${install[@]}" >"$log" 2>&1 || { apt-get -q update && "${install[@]}"; } >"$log" 2>&1 ||
        { cat "$log" >&2; say "apt failed"; exit 2; }
    rm -f "$log"
fi
say "installing the locked packages of tests/node"
npm ci --loglevel=error --ignore-scripts --no-audit --no-fund ||
    { say "npm could not install them, so the fake forges are not judged by others"; [ "${HYBRID_CI_REQUIRE_NODE:-0}" = 0 ] || exit 2; exit 0; }
touch node_modules/.stamp
