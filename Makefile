# Two commands do everything on a fresh machine: `make demo` and `make test`. Both create .venv and install the tested
# stack (constraints.txt) when it is missing or has changed.
PYTHON ?= python3
BIN := .venv/bin
JOBS ?= auto
DEMO ?= demo

.PHONY: help demo test lint docs clean
.DEFAULT_GOAL := help

help:  ## Show what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'

.venv/installed: setup.cfg constraints.txt
	@echo "==> Creating .venv and installing the tested stack (2 to 4 minutes, once)"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]' -c constraints.txt
	@touch $@

demo: .venv/installed  ## The main job on generated data: pretrain, label, segment, retrieve, ground, one page of results
	@echo "==> Running the main job on generated data; the page will be $(DEMO)/index.html"
	$(BIN)/medvlp demo --out $(DEMO)

test: .venv/installed  ## All tests, in parallel
	@echo "==> Running the tests"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal

lint: .venv/installed  ## Style and types
	@echo "==> Checking style and types"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/installed  ## The documentation site, in site/
	@echo "==> Building the documentation into site/"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:  ## Remove what was built (not what was trained)
	rm -rf site build .pytest_cache .mypy_cache .ruff_cache *.egg-info
