#!/usr/bin/env bash
# The official runtimes, each in an environment of its own, from the package registries. Run again: nothing to do.
#   bench/official/setup.sh 3     runtime 3.10.0 into .venv-official-3 (python3.12 or newer)
#   bench/official/setup.sh 2     runtime 2.10.1 into .venv-official-2 (GStreamer by apt: as root, or installed before)
# `make bench` measures them beside ours where they are there; without them it measures ours alone.
set -euo pipefail
cd "$(dirname "$0")/../.."
UV=.venv/bin/uv

python_for() {  # the newest interpreter of the system that the runtime takes
    local name
    for name in "$@"; do
        command -v "/usr/bin/$name" && return 0
    done
    echo "none of $* is installed; install one (apt-get install python3-venv)" >&2
    return 1
}

apt_need() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    if [ "$(id -u)" -ne 0 ]; then
        echo "please install: sudo apt-get install ${missing[*]}" >&2
        return 1
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

case "${1:-3}" in
3)
    python=$(python_for python3.14 python3.13 python3.12)
    [ -x .venv-official-3/bin/python ] || "$UV" venv --quiet --python "$python" .venv-official-3
    "$UV" pip install --quiet --python .venv-official-3/bin/python --require-hashes -r tests/tools/runtime-3.10.lock
    ;;
2)
    apt_need gcc pkg-config libcairo2-dev libgirepository-2.0-dev python3-dev \
        gir1.2-gstreamer-1.0 gir1.2-gst-plugins-base-1.0 gir1.2-gst-plugins-bad-1.0 \
        gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-nice gstreamer1.0-libav
    python=$(python_for python3.13 python3.12 python3.11)
    [ -x .venv-official-2/bin/python ] || "$UV" venv --quiet --python "$python" .venv-official-2
    "$UV" pip install --quiet --python .venv-official-2/bin/python reactor-runtime==2.10.1
    ;;
*)
    echo "usage: bench/official/setup.sh 2|3" >&2
    exit 2
    ;;
esac
