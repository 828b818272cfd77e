# One target per thing a person does here. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help run test test-rust test-python test-package test-end-to-end lint format audit build bench bench-limits bench-placement bench-replicas bench-decide gates gates-update fuzz schema reference lock clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONFIG ?= config/quickstart.yaml
SEED ?= 1
COUNT ?= 200000
FUZZ_SECONDS ?= 600
LOCK := UV_CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --python-version 3.11
SOURCES := $(shell find rust python -name '*.rs' -o -name '*.toml' -o -name '*.py' -o -name '*.pyi' -o -name '*.json' 2>/dev/null) Cargo.toml Cargo.lock pyproject.toml README.md

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-14s %s\n", $$1, $$2}'

run: $(VENV)/built ## build, then start the router on CONFIG (config/quickstart.yaml)
	@$(BIN)/edgeroute run --config $(CONFIG)

test: test-rust test-python ## everything: cargo and pytest

test-rust: ## the crates
	MAKEFLAGS= cargo test --workspace --exclude edgeroute-python --locked

test-python: test-package test-end-to-end ## the Python package

test-package: $(VENV)/built $(VENV)/dev ## its parts
	MAKEFLAGS= $(BIN)/pytest --ignore=tests/e2e

test-end-to-end: $(VENV)/built $(VENV)/dev ## the running router, with real clients
	MAKEFLAGS= $(BIN)/pytest tests/e2e

lint: $(VENV)/built $(VENV)/dev ## formatters, linters and type checkers, warnings denied
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	@# Fuzz targets are workspaces of their own. They are not linked, so that no libFuzzer has to be built.
	for fuzz in rust/*/fuzz; do CUSTOM_LIBFUZZER_PATH=/libfuzzer.a cargo clippy --manifest-path $$fuzz/Cargo.toml \
		--target-dir target --locked -- -D warnings || exit 1; done
	$(BIN)/ruff format --check python tests bench tools
	$(BIN)/ruff check python tests bench tools
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python -m mypy.stubtest edgeroute._native

format: $(VENV)/dev ## format everything
	cargo fmt --all
	$(BIN)/ruff format python tests bench tools
	$(BIN)/ruff check --fix --quiet python tests bench tools

audit: $(VENV)/dev ## advisories, licences and checksums of what we lock, offline
	$(BIN)/python tools/audit.py

build: $(VENV)/environment ## the wheel, into dist/; its bill of materials is inside, in *.dist-info/sboms/
	$(BIN)/maturin build --release --locked --out dist

bench: $(VENV)/built $(VENV)/dev ## overhead beside nginx and nothing, behaviour under mixed users; OPTIONS=--help
	cargo build --release --quiet --locked --package edgeroute-load
	$(BIN)/python bench/run.py $(OPTIONS)

bench-limits: $(VENV)/built $(VENV)/dev ## each limit beside what was asked of it, about 45 minutes; OPTIONS="--only streams"
	cargo build --release --quiet --locked --package edgeroute-load
	$(BIN)/python bench/limits.py $(OPTIONS)

bench-replicas: $(VENV)/built $(VENV)/dev ## strategies over eight replicas with prompt caches, and one that dies, about 13 minutes
	cargo build --release --quiet --locked --package edgeroute-load
	$(BIN)/python bench/replicas.py $(OPTIONS)

fuzz: $(VENV)/built $(VENV)/dev ## random expressions beside cel-cpp, then every cargo fuzz target; COUNT, SEED, FUZZ_SECONDS
	$(BIN)/python tests/differential/differential.py --seed $(SEED) --count $(COUNT)
	@cargo +nightly fuzz --version >/dev/null 2>&1 || echo "==> without cargo-fuzz and a nightly compiler, this is all"
	@if cargo +nightly fuzz --version >/dev/null 2>&1; then set -e; \
	for target in $(wildcard rust/*/fuzz/fuzz_targets/*.rs); do \
		name=$$(basename $$target .rs); cd $$(dirname $$target)/../..; mkdir -p fuzz/corpus/$$name; \
		cargo +nightly fuzz run $$name fuzz/corpus/$$name fuzz/seeds/$$name -- -max_total_time=$(FUZZ_SECONDS) -max_len=2048 -timeout=20; \
		cd $(CURDIR); \
	done; fi

bench-placement: $(VENV)/built ## policies of placement on simulated replicas, TRACES="mooncake_conversation.jsonl …"; OPTIONS=--help
	$(BIN)/python bench/placement.py $(TRACES) --goodput 3 --plots --output bench/results $(OPTIONS)

bench-decide: ## the whole decision in Rust, criterion
	cargo bench -p edgeroute-router --bench decide

gates: $(VENV)/built ## what does not depend on the clock, beside what is committed: instructions, allocations, system calls
	cargo build --release --quiet --locked --package edgeroute-gates
	$(BIN)/python bench/gates/count.py $(OPTIONS)

gates-update: ## commit to what is counted now: writes bench/gates/baseline.json
	@$(MAKE) gates OPTIONS=--update

schema: $(VENV)/built ## regenerate config/edgeroute.schema.json
	$(BIN)/edgeroute schema > config/edgeroute.schema.json

reference: $(VENV)/built ## regenerate docs/reference/configuration.md
	$(BIN)/python -m edgeroute.config.reference docs/reference/configuration.md

lock: $(VENV)/environment ## lock Python dependencies with their hashes, into requirements/
	@$(BIN)/python -m pip install --quiet 'uv>=0.13,<1'
	$(LOCK) pyproject.toml --output-file requirements/runtime.txt
	$(LOCK) --group dev --constraints requirements/runtime.txt --output-file requirements/development.txt

clean: ## remove everything that was built
	rm -rf $(VENV) target dist python/edgeroute/*.so

# The environment: what is needed to build, the package as an installed wheel, the tools of developers.
$(VENV)/environment:
	@echo "==> Python environment in $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=26.1'
	@$(BIN)/python -m pip install --quiet maturin --constraint requirements/development.txt
	@touch $@

$(VENV)/built: $(VENV)/environment $(SOURCES)
	@echo "==> building edgeroute (release; a minute or two the first time)"
	@rm -rf dist
	@$(BIN)/maturin build --release --locked --out dist
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/runtime.txt
	@$(BIN)/python -m pip install --quiet --force-reinstall --no-deps dist/*.whl
	@touch $@

$(VENV)/dev: $(VENV)/environment requirements/development.txt
	@echo "==> tools for development"
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/development.txt
	@touch $@
