# `make demo` and `make test` are all a newcomer needs; both do their own set-up.
PORT ?= 8080
BIN := .venv/bin

.PHONY: help demo test test-all fuzz setup setup-demo setup-test lint types layers docs states bench bench-all hostile proto lock sbom audit clean

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup:  ## everything into .venv
	@scripts/setup.sh

setup-demo:
	@scripts/setup.sh demo

setup-test:
	@scripts/setup.sh test

demo: setup-demo  ## live models on http://localhost:8080 (PORT=… to choose)
	@$(BIN)/livereactor demo --port $(PORT)

# Some 4,500 tests with browsers, databases and real time on cores that others use too: now and then one is starved.
# What failed is run once more by itself; what fails twice fails (docs/adr/0012).
PYTEST := $(BIN)/python -m pytest
AGAIN := $(PYTEST) --last-failed --last-failed-no-failures none
ALONE := -m "not long and alone" tests/contract tests/e2e tests/fault

test: setup-test lint types layers  ## everything but the long tests: first what may run side by side, then the rest
	@$(PYTEST) -m "not long and not alone" -n auto --dist loadfile --no-loadscope-reorder || $(AGAIN) -m "not long and not alone"
	@$(PYTEST) $(ALONE) || $(AGAIN) $(ALONE)

test-all: test  ## and soak, a minute of each fuzzer, million-history properties, every door, pair and width
	@$(BIN)/python -m pytest -m long
	@$(MAKE) --no-print-directory fuzz

FUZZ_SECONDS ?= 60
fuzz: setup  ## each parser's fuzzer for a minute, from its kept corpus (FUZZ="NAME …" and FUZZ_SECONDS=… to choose)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r tests/tools/fuzz.lock
	@$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS) $(FUZZ)

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup
	@$(BIN)/pyright

layers: setup
	@$(BIN)/lint-imports

docs: setup  ## the documentation, into site/
	@$(BIN)/mkdocs build --strict

states: setup  ## docs/states.md, from the tables of the state machines
	@$(BIN)/python scripts/draw_states.py

bench: setup-test  ## most figures, the official runtime beside ours, and their page (a quarter of an hour)
	@bench/official/setup.sh 3
	@$(BIN)/python -m bench --clients own python --trials 24 --seconds 8
	@$(BIN)/python -m bench table

bench-all: setup-test  ## all figures, with the browser and with those that take an hour
	@bench/official/setup.sh 3
	@bench/official/setup.sh 2
	@$(BIN)/python -m bench all
	@$(BIN)/python -m bench table

hostile: setup-test  ## attackers beside an owner, on serve and on run, and their page (twenty minutes)
	@$(BIN)/python -m bench.hostile
	@$(BIN)/python -m bench.hostile --command run
	@$(BIN)/python -m bench.hostile table

proto: setup  ## the generated code of the binary wire format
	@$(BIN)/python -m grpc_tools.protoc -Isrc --python_out=src --pyi_out=src src/livereactor/protocol/wire_v1.proto

lock: setup  ## requirements.lock from pyproject.toml, and deploy/build.lock with what builds and installs
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --group dev --all-extras pyproject.toml -o requirements.lock
	@printf 'uv>=0.9\nhatchling\n' | $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 - -o deploy/build.lock

SBOM ?= sbom.json
sbom: setup  ## CycloneDX's bill of materials of requirements.lock (SBOM=… to choose where)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r tests/tools/sbom.lock
	@$(BIN)/python -W ignore -m cyclonedx_py requirements --pyproject pyproject.toml --output-reproducible -o $(SBOM) requirements.lock

audit: setup  ## known vulnerabilities of requirements.lock, from a copy of osv.dev's PyPI/all.zip (DB=…), offline
	@$(BIN)/python scripts/audit.py $(if $(DB),$(DB),$(error DB=… names the folder or archive of OSV advisories))

clean:
	rm -rf .venv .venv-client-08 .venv-official-3 node_modules build dist site .pytest_cache .ruff_cache .hypothesis
