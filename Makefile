# The commands of the README. Everything is installed into $(VENV), nothing outside this folder is touched.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test lint bench clean

demo: $(VENV)/plot   ## learn to read handwritten digits
	$(BIN)/manualbp train

test: $(VENV)/test   ## run all tests
	$(BIN)/python -m pytest

lint: $(VENV)/dev   ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/bench   ## time the kernels and the training steps
	$(BIN)/python -m pytest bench --benchmark-only

clean:
	rm -rf $(VENV) build dist *.egg-info

# One stamp for each set of extras that is installed.
$(VENV)/%: setup.cfg pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet --editable ".[$*]"
	@touch $@

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)
