# The words of this project. `make` alone explains them; .ci/run uses the same ones.

-include .venv/python.mk
# Which Python makes .venv. The last one given is remembered in .venv until `make clean`.
PYTHON ?= python3
# More words for pytest, such as ARGS="-k cheque -x"
ARGS ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check
INSTALLED := .venv/installed-$(subst /,_,$(PYTHON))
READY := .venv/ready
FOLDERS := node protocol simulations tests tools

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup test demo lint fix bench soak coverage lock docs clean

help: ## show these words
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

setup: $(READY) ## make .venv with everything in it (at once when it is there)

# pip and hashes: what is installed is what was locked, byte by byte, or nothing.
$(INSTALLED): requirements/dev.txt requirements/runtime.txt
	@$(PYTHON) tools/check_system.py
	@echo "making .venv with $(PYTHON): this takes a minute or two, once"
	@$(PYTHON) -m venv --clear .venv
	@$(PIP) --require-hashes -r requirements/dev.txt
	@echo 'PYTHON ?= $(PYTHON)' > .venv/python.mk
	@touch $@

# The project itself, in place: an edit counts at once.
$(READY): $(INSTALLED) pyproject.toml node/__init__.py
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

test: setup ## run the tests (COVERAGE=1: measure branches of protocol/, and insist on all)
ifdef COVERAGE
	@mkdir -p .cache
	$(BIN)/python -m coverage run -m pytest $(ARGS)
	$(BIN)/python -m coverage report
else
	$(BIN)/python -m pytest $(ARGS)
endif

demo: setup ## see it work
	@$(BIN)/python -m simulations.demo

lint: setup ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: setup ## mend what a machine can mend
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: setup ## print the figures, as ratios to a reference of the same run
	@$(BIN)/python -m tests.benchmarks

soak: setup ## run all tests with many more examples, and the long ones (takes long)
	COMMONS_HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest -m "soak or not soak" -o faulthandler_timeout=0 $(ARGS)

coverage: ## the tests under coverage, as CI runs them
	@$(MAKE) --no-print-directory test COVERAGE=1

docs: setup ## write the pages of docs/reference/ that are made from the code
	@$(BIN)/python -m tools.reference

lock: ## renew requirements/*.txt from pyproject.toml (UPGRADE=1: newest of everything)
	@$(PYTHON) tools/lock.py $(if $(UPGRADE),--upgrade)

clean: ## remove everything that make made, .venv too
	rm -rf .venv .cache build dist
	find $(FOLDERS) -name __pycache__ -type d -prune -exec rm -rf {} +
