#!/usr/bin/env bash
# Makes hybrid-ci ready for one job of GitHub Actions. `prepare` looks around and names what is worth caching; `install`
# does the work. Writes step outputs and nothing else that later steps would see.
#
# The cache holds wheels alone, and every wheel is checked against the hashes of requirements.txt when it is installed:
# whoever could write to the cache could still not change what runs.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
version=${VERSION:-}
home=${RUNNER_TEMP:?}/hybrid-ci
wheels=$home/wheels

fail() {
    echo "::error title=hybrid-ci::$1"
    exit 2
}

output() {
    printf '%s=%s\n' "$1" "$2" >>"${GITHUB_OUTPUT:?}"
}

find_python() {
    local candidate
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "hybrid-ci needs Python 3.11 or later on this runner; add a step with actions/setup-python before it"
}

prepare() {
    if [[ $version == installed ]]; then
        output program "$(command -v hybrid-ci || fail "version is 'installed', and there is no hybrid-ci on PATH")"
        return
    fi
    [[ $version =~ ^[0-9A-Za-z.!+-]*$ ]] || fail "version is neither a version nor 'installed'"
    local python
    python=$(find_python)
    output program "$home/venv/bin/hybrid-ci"
    output python "$python"
    output wheels "$wheels"
    output key "hybrid-ci-$("$python" -c 'import platform, sys; print(sys.platform, platform.machine(), *sys.version_info[:2], sep="-")')-$(sha256sum "$root/requirements.txt" | cut -c1-32)"
}

install() {
    if [[ -e $home/ready ]]; then # by an earlier step of this job
        return
    fi
    export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_CACHE_DIR=$wheels
    local -a pip=("$home/venv/bin/python" -m pip install --quiet)
    "${PYTHON:?}" -m venv "$home/venv"
    if [[ -n $version ]]; then
        "${pip[@]}" "hybrid-ci==$version"
    else
        "${pip[@]}" --require-hashes --only-binary :all: --requirement "$root/requirements.txt"
        mkdir -p "$home/source" # a build leaves files beside the source, and the action's own folder is shared
        cp -R "$root/pyproject.toml" "$root/README.md" "$root/orchestrator" "$root/pipelines" "$home/source/"
        "${pip[@]}" --no-deps --no-build-isolation --no-cache-dir "$home/source"
    fi
    touch "$home/ready"
}

case ${1:-} in
prepare) prepare ;;
install) install ;;
*) fail "install.sh takes 'prepare' or 'install'" ;;
esac
