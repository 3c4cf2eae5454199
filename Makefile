# `make demo` and `make test` work on a fresh machine: scripts/setup gets what is missing.

VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= $(shell nproc)

.PHONY: help demo test lint bench docs setup bases clean

help:
	@echo "make demo     build the examples, start them and fetch a page (sets everything up)"
	@echo "make test     every check and test, as CI runs them (sets everything up)"
	@echo "make lint     ruff and mypy only"
	@echo "make bench    measure against the other builders that this machine has"
	@echo "make docs     write docs/cli.md and the schema of events anew from the code"
	@echo "make bases    make the stand-in base images that the tests use"
	@echo "make clean    remove what the above left in this folder"

demo: setup
	$(BIN)/python scripts/demo.py

test: setup lint
	$(BIN)/python -m tests.bases --cache $$($(BIN)/python -m tests.needed)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --durations=15

lint: setup
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python -m bench.run $(BENCH)

docs: setup
	$(BIN)/python -m jettison.cli.reference > docs/cli.md
	$(BIN)/python -m jettison.progress.schema > src/jettison/progress/events.schema.json

bases: setup
	$(BIN)/python -m tests.bases --cache $$($(BIN)/python -m tests.needed)

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml scripts/setup
	@scripts/setup $(VENV)

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
