# The two commands of the README: `make demo` and `make test`. Both make the environment first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint types imports tests guards faults bench pictures clean

demo: .venv
	$(BIN)/medtui run quickstart

test: lint types imports tests guards

lint: .venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv
	$(BIN)/mypy

imports: .venv
	$(BIN)/lint-imports

tests: .venv
	$(BIN)/pytest

# Speeds that must never be lost, with room for a noisy machine; alone, after everything else.
guards: .venv
	$(BIN)/pytest -n0 benchmarks/test_speed.py

# Faults in full: every write, fsync and rename fails once, fifty kills at random moments; about half an hour.
faults: .venv
	$(BIN)/pytest --faults --timeout=7200 tests/faults

# Ratios measured in alternating pairs; wants a quiet machine.
bench: .venv
	$(BIN)/python -m benchmarks

# The console's pictures in README.md, from a real run on breastmnist.npz in $(DATA), else in ~/.medmnist.
pictures: .venv
	$(BIN)/python docs/make_pictures.py $(DATA)

# pip's resolver takes its time over torch: about three minutes.
.venv: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "medtui needs Python 3.11 or newer, found " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch .venv

clean:
	rm -rf .venv dist build
