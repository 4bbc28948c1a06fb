# The commands of the README. Everything is installed into $(VENV), nothing outside this folder is touched.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test lint mutations bench test-gpu cuda-compile docs docs-serve docs-test clean

demo: $(VENV)/plot   ## learn to read handwritten digits
	$(BIN)/manualbp train

test: $(VENV)/test   ## run all tests
	$(BIN)/python -m pytest

lint: $(VENV)/dev   ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

mutations: $(VENV)/test   ## put more than a hundred bugs into backpropagation, see each one caught, and write docs/mutations.md
	cd tests && ../$(BIN)/python -m mutations --out ../docs/mutations.md

bench: $(VENV)/bench   ## time everything beside its peers, and write docs/benchmarks.md; leave the machine alone meanwhile
	$(BIN)/python -m bench --out docs/benchmarks.md --readme README.md

test-gpu: $(VENV)/cuda $(VENV)/test $(VENV)/bench   ## on a GPU: its tests, then times beside PyTorch into cuda-results.json
	MANUALBP_GPU=1 $(BIN)/python -m pytest tests -k cuda
	$(BIN)/python -m pytest bench -k cuda -rs -W default

cuda-compile:   ## without a GPU: compile all kernels for one, read their machine code, and write the tables of docs/cuda.md
	$(MAKE) VENV=$(VENV)-cuda $(VENV)-cuda/cuda-compile
	$(VENV)-cuda/bin/python -m bench.cuda --out docs/cuda.md

docs: $(VENV)/docs   ## build the site into docs/_build; a warning or a link that leads nowhere is an error
	$(BIN)/sphinx-build --fresh-env --write-all --fail-on-warning --keep-going --quiet docs docs/_build
	$(BIN)/python docs/links.py docs/_build

docs-serve: docs   ## show it on http://localhost:8000
	$(BIN)/python -m http.server --bind localhost --directory docs/_build 8000

docs-test: $(VENV)/test   ## run the formulas, equations and examples of the derivations, and the experiments of the questions
	$(BIN)/python -m pytest tests/test_formulas.py tests/test_equations.py tests/test_symbolic.py tests/test_questions.py

clean:
	rm -rf $(VENV) $(VENV)-cuda build docs/_build dist *.egg-info

# One stamp for each set of extras that is installed.
$(VENV)/%: setup.cfg pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet --editable ".[$*]"
	@touch $@

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)
