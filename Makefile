# Each target bootstraps .venv from a bare Python (3.11 or newer) with pip alone.
PYTHON ?= python3
BIN := .venv/bin
DEMO_DIR ?= makedo-demo
# Tests read real data from here when it exists; those that need it are skipped otherwise.
MAKEDO_DATA ?= $(if $(wildcard ../shared/data),$(abspath ../shared/data))
export MAKEDO_DATA

.PHONY: demo test test-oldest check bench venv clean

venv: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[demo,dev]"
	touch $@

demo: venv
	$(BIN)/makedo demo --out $(DEMO_DIR)

test: venv check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -q -m "not slow"

check: venv
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/ruff format --check src tests benchmarks examples
	$(BIN)/pyright --pythonpath $(BIN)/python

# The tests with the oldest versions that pyproject.toml admits.
test-oldest:
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-oldest.txt -e ".[demo,dev]"
	OMP_NUM_THREADS=1 .venv-oldest/bin/python -m pytest -n 2 -q -m "not slow"

bench: venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[bench]"
	set -e; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script; done

clean:
	rm -rf .venv .venv-oldest $(DEMO_DIR)
