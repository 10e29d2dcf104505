#!/usr/bin/env bash
# Write the lock files from pyproject.toml: hashed, for every Python and system we support, without an index address.
# Usage: tools/lock.sh [uv's options, such as --upgrade]
set -euo pipefail
cd "$(dirname "$0")/.."

compile() {
    uv pip compile --quiet --universal --python-version 3.10 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links "$@"
}

compile "$@" pyproject.toml -o requirements.lock
compile "$@" -c requirements.lock --group build -o requirements-build.lock
compile "$@" -c requirements.lock -c requirements-build.lock pyproject.toml --group dev -o requirements-dev.lock
