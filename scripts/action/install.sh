#!/usr/bin/env bash
# Makes hybrid-ci ready for one job of GitHub Actions. `prepare` looks around and names what is worth caching; `install`
# does the work. Writes step outputs and nothing else that later steps would see.
#
# What the cache brings back is a folder of wheels, and pip checks each of them against the hashes of requirements.txt:
# whoever could write to the cache could still not change what runs. It is not pip's own cache, whose wheels are taken
# on the word of a file beside them, hashes or not.
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
    return 1
}

prepare() {
    local program python platform
    if [[ $version == installed ]]; then
        program=$(command -v hybrid-ci) || fail "version is 'installed', and there is no hybrid-ci on PATH"
        output program "$program"
        return
    fi
    [[ $version =~ ^[0-9A-Za-z.!+-]*$ ]] || fail "version is neither a version nor 'installed'"
    python=$(find_python) ||
        fail "hybrid-ci needs Python 3.11 or later on this runner; add a step with actions/setup-python before it"
    output program "$home/venv/bin/hybrid-ci"
    output python "$python"
    if [[ -z $version ]]; then # what no hash is known of is not worth the risk
        platform=$("$python" -c 'import platform, sys; print(sys.platform, platform.machine(), *sys.version_info[:2], sep="-")')
        output wheels "$wheels"
        output key "hybrid-ci-wheels-$platform-$(sha256sum "$root/requirements.txt" | cut -c1-32)"
    fi
}

install() {
    if [[ -e $home/ready ]]; then # by an earlier step of this job
        return
    fi
    export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_NO_CACHE_DIR=1
    "${PYTHON:?}" -m venv "$home/venv"
    local -a pip=("$home/venv/bin/python" -m pip --quiet)
    if [[ -n $version ]]; then
        "${pip[@]}" install "hybrid-ci==$version"
    else
        local -a locked=(--require-hashes --only-binary :all: --requirement "$root/requirements.txt")
        local -a cached=(install --no-index --find-links "$wheels" "${locked[@]}")
        mkdir -p "$wheels"
        if ! "${pip[@]}" "${cached[@]}" 2>/dev/null; then # nothing there yet, or not what the hashes say
            "${pip[@]}" download --dest "$wheels" "${locked[@]}"
            "${pip[@]}" "${cached[@]}"
        fi
        mkdir -p "$home/source" # a build leaves files beside the source, and the action's own folder is shared
        cp -R "$root/pyproject.toml" "$root/README.md" "$root/orchestrator" "$root/pipelines" "$home/source/"
        "${pip[@]}" install --no-deps --no-build-isolation "$home/source"
    fi
    touch "$home/ready"
}

case ${1:-} in
prepare) prepare ;;
install) install ;;
*) fail "install.sh takes 'prepare' or 'install'" ;;
esac
