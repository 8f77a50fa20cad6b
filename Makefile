# `make` alone lists the targets. Everything runs in .venv, which is made on first use.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

BIN := .venv/bin
WORKERS ?= auto
TESTS ?= tests

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.venv/.stamp: pyproject.toml requirements-dev.txt scripts/venv.sh
	@scripts/venv.sh

tests/node/node_modules/.stamp: tests/node/package.json tests/node/package-lock.json scripts/node.sh
	@scripts/node.sh

.PHONY: demo
demo: .venv/.stamp ## a release end to end on this machine: real engine, registry, Git and pull request (KEEP=1 keeps it running)
	@$(BIN)/python scripts/demo.py $(if $(KEEP),--keep)

.PHONY: test
test: .venv/.stamp tests/node/node_modules/.stamp ## the whole suite, with a private engine and registries (TESTS=tests/unit for a part)
	@$(BIN)/python scripts/services.py run --tls --state .cache/test-services -- \
	    $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -p tests.budgets $(TESTS)

.PHONY: lint
lint: .venv/.stamp ## ruff: rules and format; and every CI file, action and Dockerfile, those in the docs too
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/python scripts/lint_ci.py

.PHONY: typecheck
typecheck: .venv/.stamp ## mypy --strict
	@$(BIN)/mypy
	@$(BIN)/mypy -p scripts -m bench.startup

# These print a table for people and, as their last line, one JSON object.
BENCHES := bench-startup bench-pins bench-git bench-writers bench-release bench-looking

.PHONY: corpus
corpus: .venv/.stamp ## pins of real manifests against the right edit, byte for byte (HYBRID_CI_CORPUS=folder)
	@$(BIN)/python -m bench.corpus

.PHONY: bench
bench: $(BENCHES) ## all benchmarks

.PHONY: bench-startup
bench-startup: .venv/.stamp ## start-up of the installed command, against python -c pass
	@$(BIN)/python -m bench.startup

.PHONY: bench-pins
bench-pins: .venv/.stamp ## edits against other YAML editors, and the search for an image in a tree (FILES=60000)
	@$(if $(FILES),FILES=$(FILES)) $(BIN)/python -m bench.pins

.PHONY: bench-git
bench-git: .venv/.stamp ## a handoff on a GitOps monorepo, against clones and git's own floor (N="100 1000 10000")
	@$(if $(N),N="$(N)") $(BIN)/python -m bench.git

.PHONY: bench-writers
bench-writers: .venv/.stamp ## many writers on one branch, against pull-rebase loops (WRITERS=200)
	@$(if $(WRITERS),WRITERS="$(WRITERS)") $(BIN)/python -m bench.writers

.PHONY: bench-release
bench-release: .venv/.stamp ## a release of an unchanged application, against a cached docker build and push (RUNS=7)
	@$(BIN)/python -m bench.release

.PHONY: bench-looking
bench-looking: .venv/.stamp ## status, and a promotion to all waves, over 100 environments of 50 images (RUNS=5)
	@$(if $(RUNS),RUNS="$(RUNS)") $(BIN)/python -m bench.looking

.PHONY: lock
lock: ## renew requirements.txt and requirements-dev.txt (needs uv)
	@printf 'hatchling>=1.25\n' | uv pip compile --quiet pyproject.toml - --universal \
	    --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links --no-config \
	    --only-binary :all: --upgrade --custom-compile-command "make lock" --output-file requirements.txt
	@printf 'hatchling>=1.25\neditables\n' | uv pip compile --quiet pyproject.toml - --group dev --universal \
	    --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links --no-config \
	    --upgrade --custom-compile-command "make lock" --output-file requirements-dev.txt

.PHONY: clean
clean: ## stop private services and remove everything that the other targets made
	@for state in .demo .cache/test-services; do \
	    if [ -e $$state/services.json ]; then python3 scripts/services.py down --state $$state; fi; done
	@rm -rf .venv tests/node/node_modules .demo .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
