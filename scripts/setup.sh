#!/usr/bin/env bash
# Makes the virtual environment and checks that pictures can be rendered without a screen.
# Usage: setup.sh FOLDER
set -euo pipefail
venv=${1:-.venv}

fail() { printf '%s\n' "$*" >&2; exit 1; }

# May this script install system packages? Only as root, or where sudo asks no password.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo "$@"
    else return 1; fi
}

install_packages() {
    command -v apt-get >/dev/null || return 1
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq || return 1
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null || return 1
}

# slicer-core has wheels for Python 3.10 to 3.13, the program needs 3.11.
python=""
for name in python3 python3.12 python3.13 python3.11; do
    if command -v "$name" >/dev/null &&
        "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
        python=$name; break
    fi
done
[ -n "$python" ] || fail "Python 3.11, 3.12 or 3.13 is needed. Install one, for example: sudo apt-get install python3 python3-venv"

if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    version=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    install_packages "$version" || fail "Python's venv is missing. Type: sudo apt-get install $version   and run make again."
fi

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --upgrade pip
"$venv/bin/python" -m pip install --quiet --editable '.[cli,fast,scene,live,dev]'

# Offscreen rendering needs EGL and GL libraries that a bare server lacks.
if ! "$venv/bin/python" scripts/can_render.py 2>/dev/null; then
    libraries="libegl1 libgl1 libgl1-mesa-dri libglx-mesa0 libegl-mesa0 libxrender1 libsm6 libice6 libxext6 libx11-6"
    libraries="$libraries libxkbcommon0 libdbus-1-3 libfontconfig1 libglib2.0-0 fonts-dejavu-core"
    install_packages $libraries || true
    if ! "$venv/bin/python" scripts/can_render.py; then
        printf '%s\n' "Pictures cannot be rendered yet. Type: sudo apt-get install $libraries   and run make again." \
            "Everything but the pictures works without it." >&2
    fi
fi

# A scanner to test the receiver with; the tests that need it say so and are skipped without it.
if ! command -v dcmsend >/dev/null; then
    install_packages dcmtk || printf '%s\n' "The receiver is tested with dcmtk. Type: sudo apt-get install dcmtk" >&2
fi
