#!/usr/bin/env bash
# Makes .venv with the locked development requirements and this project, editable. Needs Python 3.11 or later;
# where Debian's python3 comes without its venv module, installs that (root only, and says so first).
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "setup: $*" >&2; }
fail() { say "$@"; exit 2; }

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

python=$(find_python) || fail "Python 3.11 or later is needed; found: $(python3 --version 2>&1 || echo none)." \
    "Install it (Debian 12, Ubuntu 24.04: apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python3.11"

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    command="apt-get install -y --no-install-recommends ${version}-venv"
    case "${DEMO_INSTALL:-yes}" in no | 0 | false) forbidden=1 ;; *) forbidden= ;; esac
    if [ "$(id -u)" != 0 ] || [ -n "$forbidden" ] || ! command -v apt-get >/dev/null; then
        fail "$python has no venv module; install it with: sudo $command"
    fi
    say "$python has no venv module; installing it: $command"
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    $command >"$log" 2>&1 || { apt-get update && $command; } >"$log" 2>&1 || { cat "$log" >&2; fail "apt failed"; }
    rm -f "$log"
fi

if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    say "making .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv
fi
say "installing the locked requirements into .venv (the first time this takes a minute)"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
.venv/bin/python -m pip install -qq --require-hashes --requirement requirements-dev.txt
.venv/bin/python -m pip install -qq --no-deps --no-build-isolation --editable .
touch .venv/.stamp
