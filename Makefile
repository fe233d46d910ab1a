# The two commands of the README: `make demo` and `make test`. Both make the environment first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint types imports tests faults bench clean

demo: .venv
	$(BIN)/medtui run quickstart

test: lint types imports tests

lint: .venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv
	$(BIN)/mypy

imports: .venv
	$(BIN)/lint-imports

tests: .venv
	$(BIN)/pytest

# Faults in full: every write, fsync and rename fails once, fifty kills at random moments; about half an hour.
faults: .venv
	$(BIN)/pytest --faults --timeout=7200 tests/faults

# Ratios measured in alternating pairs; wants a quiet machine. The guards: pytest -n0 benchmarks/test_speed.py
bench: .venv
	$(BIN)/python -m benchmarks

# pip's resolver takes its time over torch: about three minutes.
.venv: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "medtui needs Python 3.11 or newer, found " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch .venv

clean:
	rm -rf .venv dist build
