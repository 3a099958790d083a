#!/bin/sh
# Prints the Python that Performia's environment is made with: the one named, else python3.11 (the tested set was made with it), else the
# newest supported one that runs here. A name alone says little: version managers put names on the path that do not run.
#
#   sh deployments/find_python.sh [NAME]

runs() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

# Prints the interpreters of that name: on the path, and those that pyenv keeps.
named() {
    command -v "$1"
    for kept in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/"$1"; do
        [ -x "$kept" ] && echo "$kept"
    done
}

for name in ${1:-python3.11 python3.13 python3.12 python3 python}; do
    named "$name" | while read -r found; do
        if runs "$found"; then
            echo "$found"
            break
        fi
    done | grep . && exit 0
done

if [ -n "${1:-}" ]; then
    echo "$1 does not run, is not Python 3.11, 3.12 or 3.13, or lacks venv." >&2
else
    echo "Performia needs Python 3.11, 3.12 or 3.13 with venv and pip, and none was found." >&2
    echo "Install one (Debian: apt install python3 python3-venv), or name yours: make PYTHON=/path/to/python3.12 demo" >&2
fi
exit 1
