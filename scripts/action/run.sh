#!/usr/bin/env bash
# Runs one command of hybrid-ci in a job of GitHub Actions. Every input comes by the environment and becomes an argument
# or a variable as it is: no text is ever evaluated.
set -euo pipefail

fail() {
    echo "::error title=hybrid-ci::$1"
    exit 2
}

# Of the inputs that are secrets, hybrid-ci sees those that are set; an empty one hides nothing that the job set itself.
give() {
    local value=${!2:-}
    if [[ -n $value ]]; then
        export "$1=$value"
    fi
    unset "$2"
}

give HYBRID_CI_GIT_TOKEN INPUT_TOKEN
give HYBRID_CI_GITHUB_APP_ID INPUT_APP_ID
give HYBRID_CI_GITHUB_APP_KEY INPUT_APP_KEY
give HYBRID_CI_REGISTRY_USERNAME INPUT_REGISTRY_USERNAME
give HYBRID_CI_REGISTRY_PASSWORD INPUT_REGISTRY_PASSWORD

while IFS= read -r line; do
    line=${line#"${line%%[![:space:]]*}"}
    [[ -n $line ]] || continue
    [[ $line =~ ^([A-Za-z_][A-Za-z0-9_]*)=(.*)$ ]] || fail "the input secrets has a line that is not NAME=value"
    name=${BASH_REMATCH[1]}
    case $name in
    GITHUB_* | RUNNER_* | INPUT_* | PROGRAM | PATH | HOME | IFS | SHELL | ENV | BASH* | LD_* | PYTHON*) fail "the input secrets may not set $name" ;;
    esac
    export "$name=${BASH_REMATCH[2]}"
done <<<"${INPUT_SECRETS:-}"
unset INPUT_SECRETS

export HYBRID_CI_MASK=1 # stderr leads to the runner here, which hides what it is told to hide

command=${INPUT_COMMAND:?}
[[ $command =~ ^[a-z][a-z-]*$ ]] || fail "the input command is no command of hybrid-ci"

arguments=()
option() {
    if [[ -n $2 ]]; then
        arguments+=("$1" "$2")
    fi
}
each() {
    local word
    for word in $2; do
        arguments+=("$1" "$word")
    done
}
set -f # words of inputs are no patterns of files

option --config "${INPUT_CONFIG:-}"
arguments+=("$command")
case $command in
build)
    each --image "${INPUT_IMAGES:-}"
    option --env "${INPUT_ENVIRONMENT:-}"
    option --record "${INPUT_RECORD:-}"
    ;;
handoff)
    option --records "${INPUT_RECORDS:-}"
    each --only "${INPUT_IMAGES:-}"
    option --env "${INPUT_ENVIRONMENT:-}"
    option --record "${INPUT_RECORD:-}"
    ;;
release)
    each --only "${INPUT_IMAGES:-}"
    option --env "${INPUT_ENVIRONMENT:-}"
    option --record "${INPUT_RECORD:-}"
    ;;
pin)
    option --env "${INPUT_ENVIRONMENT:-}"
    option --record "${INPUT_RECORD:-}"
    ;;
matrix) each --only "${INPUT_IMAGES:-}" ;;
promote)
    option --from "${INPUT_FROM:-}"
    option --to "${INPUT_TO:-}"
    each --image "${INPUT_IMAGES:-}"
    option --application "${INPUT_APPLICATION:-}"
    option --gitops "${INPUT_GITOPS:-}"
    option --record "${INPUT_RECORD:-}"
    ;;
esac
if [[ ${INPUT_ARGS:-} == *[![:space:]]* ]]; then # split as a shell would, quotes and all, by a program that evaluates nothing
    words=()
    while IFS= read -r -d '' word; do
        words+=("$word")
    done < <(xargs printf '%s\0' <<<"$INPUT_ARGS" && printf '\n\0') # a word that no quote makes
    [[ ${words[*]: -1} == $'\n' ]] || fail "the input args has a quote that nothing closes" # what follows it would be lost
    arguments+=("${words[@]:0:${#words[@]}-1}")
fi
if [[ $command == pin ]]; then
    for word in ${INPUT_IMAGES:-}; do
        arguments+=("$word")
    done
fi

if [[ $command == matrix ]]; then
    matrix=$("${PROGRAM:?}" "${arguments[@]}" --output github)
    printf 'matrix=%s\n' "$matrix" >>"${GITHUB_OUTPUT:?}"
    printf '%s\n' "$matrix"
    exit
fi
exec "${PROGRAM:?}" "${arguments[@]}"
