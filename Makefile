# Every target sets up `.venv` by itself, from nothing but Python 3.10 or newer, make and the package registry.
#   make run     start the bridge, with the stand-in when there is no kiro-cli; ARGS="--port 4000" adds flags
#   make test    all checks and all tests; TESTS="tests/test_cli.py -k version" chooses some
#   make check   ruff and mypy
#   make faults  the fault tests in full numbers; about ten minutes on two cores
#   make bench   the benchmarks; AGENTAPI_BIN=/path/to/agentapi measures it beside us; ARGS="--quick" is short
#   make screenshots  make the pictures of docs/images anew, in Chromium
#   make docs    write the generated parts of docs/ anew
#   make lock    write the lock files anew from pyproject.toml; LOCK="--upgrade" takes newer versions
#   make clean   remove what was made here

.PHONY: run test check faults bench screenshots docs lock clean environment-run environment-dev
.DEFAULT_GOAL := test

ARGS ?=
TESTS ?=
LOCK ?=
PYTHON ?=

find_python := for candidate in "$(PYTHON)" python3.13 python3.12 python3.11 python3.10 python3; do \
    [ -n "$$candidate" ] && "$$candidate" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 10))' \
        2>/dev/null && { echo "$$candidate"; exit 0; }; \
done; \
echo "error: no Python 3.10 or newer with venv was found as python3.13 to python3.10 or python3." >&2; \
echo "Install one (Debian, Ubuntu: apt-get install python3 python3-venv; macOS: brew install python)," >&2; \
echo "or name it: make PYTHON=/path/to/python3" >&2; \
exit 1

python := .venv/bin/python

run: environment-run
	@exec $(python) tools/demo.py $(ARGS)

test: check
	@$(python) -m pytest -n auto --maxprocesses 4 --dist worksteal $(TESTS)

check: environment-dev
	@$(python) -m ruff check .
	@$(python) -m mypy

faults: environment-dev
	@$(python) -m pytest -n auto --maxprocesses 4 --dist worksteal tests/faults tests/kiro/acp --long

bench: environment-dev
	@$(python) -m bench $(ARGS)

screenshots: environment-dev
	@$(python) -m tools.screenshots

docs: environment-dev
	@$(python) -m bridge.settings docs/settings.md
	@$(python) -m tools.module_tables README.md

lock:
	@python="$$($(find_python))" && "$$python" -m venv .venv/lock \
	    && .venv/lock/bin/python -m pip install --quiet uv==0.13.8 \
	    && PATH="$$PWD/.venv/lock/bin:$$PATH" tools/lock.sh $(LOCK)

clean:
	@rm -rf .venv .demo .hypothesis .mypy_cache .pytest_cache .ruff_cache dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

environment-run environment-dev:
	@python="$$($(find_python))" && exec "$$python" tools/environment.py $(@:environment-%=%)
