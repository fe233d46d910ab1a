# The commands of the README: `make demo`, `make test` and `make test-all`. All create the environment first.
PYTHON ?= python3
BIN := .venv/bin
# The tests start hundreds of processes: compiled once, not in each
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-all checks checks-all lint types imports compiled tests tests-all alone guards faults models gpu bench pictures clean

demo: .venv/installed
	$(BIN)/medtui run quickstart

# What every change should pass: a few minutes. Its last line counts what is left out.
test: checks tests

# Also the slow tests and the speed guards: what continuous integration runs.
test-all: checks-all tests-all guards

# At the same time: mypy, which takes longest, is one process.
checks: .venv/installed
	$(MAKE) --no-print-directory --jobs=3 lint types imports

checks-all: .venv/installed
	$(MAKE) --no-print-directory --jobs=4 lint types imports compiled

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed
	$(BIN)/mypy

imports: .venv/installed
	$(BIN)/lint-imports

# In a fresh clone each of the processes of pytest would compile all tests, at the same time. What cannot be collected
# is told by the tests themselves.
compiled: .venv/installed
	-$(BIN)/pytest -n0 --collect-only -qq > /dev/null

tests: .venv/installed
	$(BIN)/pytest

tests-all: .venv/installed
	$(BIN)/pytest --all --durations=25 || $(MAKE) --no-print-directory alone

# What failed while three other tests ran is run once more alone: a machine too busy for a time limit is not a
# fault of the product. Both outcomes stay in the output, and a test that needed this is to be repaired.
alone: .venv/installed
	@echo "Failed while other tests ran; now once more, alone:"
	$(BIN)/pytest --all --numprocesses=0 --last-failed --last-failed-no-failures=none -v

# Speed guards, lenient enough for a noisy machine; run alone, after everything else.
guards: .venv/installed
	$(BIN)/pytest -n0 benchmarks/test_speed.py

# Faults in full: every write, fsync and rename fails once, fifty kills at random moments, every kind of shared
# workspace, fifty starts at once, the rarer environments and commands; about 40 minutes.
FAULTS := suites two_users requirements several_processes suites_on_cluster many_starts kernels callers_environment \
    limits_of_a_job pause frozen_disk
faults: .venv/installed
	$(BIN)/pytest --exhaustive --timeout=7200 tests/faults tests/medtui/test_trackers.py tests/console/test_typing.py \
	    $(FAULTS:%=tests/end_to_end/test_%.py)

# Every model of the catalogue at every size: trained a step, resumed bit for bit, evaluated, exported; the quickstart and
# BreastMNIST in full, and how well the generated cells are learned; about 40 minutes.
MODELS := every_model cells memory_estimate main_job predict
models: .venv/installed
	$(BIN)/pytest --exhaustive --timeout=7200 $(MODELS:%=tests/end_to_end/test_%.py) \
	    $(patsubst %,tests/engine/test_%.py,adaptation features model)

# On a CUDA device: the tests that need one, then the rows of the benchmarks. Without one it says so, and fails.
gpu: .venv/installed
	$(BIN)/python -m benchmarks.gpu
	$(BIN)/pytest -n0 --all -m gpu tests
	$(BIN)/python -m benchmarks --only gpu

# Ratios measured in alternating pairs; needs a quiet machine.
bench: .venv/installed
	$(BIN)/python -m benchmarks

# The console's pictures in README.md, from a real run on breastmnist.npz in $(DATA), else in ~/.medmnist.
pictures: .venv/installed
	$(BIN)/python docs/make_pictures.py $(DATA)

# pip's resolver takes its time over torch: two to three minutes. It would compile on one core what is compiled on all
# of them here; what cannot be compiled, of another Python's grammar, it would pass over too.
.venv/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "medtui needs Python 3.11 or newer, found " + sys.version.split()[0])'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[dev]'
	-$(BIN)/python -m compileall -qq -j 0 .venv/lib
	touch $@

clean:
	rm -rf .venv dist build
