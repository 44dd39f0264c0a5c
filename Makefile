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
READER := tests/interop
MODULES := $(READER)/node_modules/.package-lock.json
FOLDERS := node protocol simulations tests tools

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup test demo lint fix bench conformance soak coverage lock docs clean

help: ## show these words
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

setup: $(READY) $(MODULES) ## make .venv with everything in it (at once when it is there)

# pip and hashes: what is installed is what was locked, byte by byte, or nothing.
$(INSTALLED): requirements/dev.txt requirements/runtime.txt
	@command -v '$(firstword $(PYTHON))' >/dev/null || \
	{ echo "make setup found no Python named $(PYTHON). Try: make setup PYTHON=python3" >&2; exit 1; }
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

# What the JavaScript reader needs, where npm is: the tests themselves use no network. Nobody else
# needs it, so a failure is said and is no failure; the next make tries again, and not for long.
NPM := npm ci --ignore-scripts --no-audit --no-fund --prefer-offline --fetch-retries=1 \
	--fetch-retry-mintimeout=1000 --fetch-timeout=20000
$(MODULES): $(READER)/package-lock.json
	@if ! command -v npm >/dev/null || ! command -v node >/dev/null; then :; \
	elif (cd $(READER) && $(NPM)) >/dev/null 2>&1; then touch $@; \
	else echo "The JavaScript reader is not ready: npm ci in $(READER) failed. All else works." >&2; fi

test: setup ## run the tests on two cores (COVERAGE=1: measure branches of protocol/, and insist on all)
	@$(BIN)/python -m tools.run_tests $(if $(COVERAGE),--coverage) $(ARGS)

demo: setup ## see it work: three real nodes, an order, the credit that moved; then a liar
	@$(BIN)/python -m tools.demo
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

conformance: setup ## run the official ONNX suite through the sandbox, against plain ONNX Runtime
	@$(BIN)/python -m tests.conformance --through $(ARGS)

soak: setup ## run all tests with many more examples, and the long ones (takes long)
	COMMONS_HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest -m "soak or not soak" -o faulthandler_timeout=0 $(ARGS)

coverage: ## the tests under coverage, as CI runs them
	@$(MAKE) --no-print-directory test COVERAGE=1

docs: setup ## write the pages of docs/reference/ that are made from the code
	@$(BIN)/python -m tools.reference

lock: ## renew requirements/*.txt from pyproject.toml (UPGRADE=1: newest of everything)
	@$(PYTHON) tools/lock.py $(if $(UPGRADE),--upgrade)

clean: ## remove everything that make made, .venv too
	rm -rf .venv .cache build dist $(READER)/node_modules
	find $(FOLDERS) -name __pycache__ -type d -prune -exec rm -rf {} +
