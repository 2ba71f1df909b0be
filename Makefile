# `make` lists what there is to run; everything runs in .venv, made from requirements.lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
TEST_PROCESSES ?= 3
T ?= tests
SERVER ?=
ON_SERVER := $(if $(SERVER),ROUTESTREAM_TEST_SERVER=$(SERVER) )

# Modules are compiled once, not by each of the many processes that tests start.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo cluster-demo appproxy model-server test test-fast soak lint format bench bench-short bench-peers docs lock lock-peers clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 12

$(VENV)/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(VENV)/installed ## run the whole system on this machine, each step checked, under 90 s
	$(BIN)/routestream demo

cluster-demo: $(VENV)/installed ## run two hosts on a Redis Cluster, kill a node and a host, each step checked
	$(BIN)/python -m tests.cluster_demo

appproxy: ## make the environments in which tests run Backend.AI's AppProxy; they make them, too
	$(PYTHON) -m tests.consumers.publishers.support.appproxy_environment

model-server: $(VENV)/installed ## install a small model server that runs on the CPU, for the tests that need one
	$(BIN)/python -m tests.support.model_environment

test: $(VENV)/installed ## run every test, or a part: T=tests/events; on another server: SERVER=valkey
	$(ON_SERVER)$(BIN)/pytest --numprocesses $(TEST_PROCESSES) --dist loadfile $(T)

test-fast: $(VENV)/installed ## run the tests that start no server and no other process
	$(BIN)/pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --without-server $(T)

soak: $(VENV)/installed ## let faults happen for SOAK_S seconds (600), and count what was lost or invented
	$(BIN)/python -m tests.soak

lint: $(VENV)/installed ## ruff, mypy strict, the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/installed ## put the code into its one format
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .

bench: $(VENV)/installed ## measure everything beside its peers in 15 minutes, write docs/performance.md
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.report.page

bench-short: $(VENV)/installed ## measure a little of everything once, in two minutes, and keep nothing
	$(BIN)/python -m benchmarks --short --to /dev/null
	$(BIN)/python -m benchmarks.readers short
	$(BIN)/python -m benchmarks.scale short

bench-peers: $(PEERS)/installed ## make the environment of what `make bench` measures beside ours

$(PEERS)/installed: benchmarks/peers/requirements.lock
	$(PYTHON) -m venv --clear $(PEERS)
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

docs: $(VENV)/installed ## write the pages that are made from the code and from what commands print
	$(BIN)/python -m docs.pages.acl_files deploy/acl
	$(BIN)/python -m docs.pages.cli_pages docs/cli.md
	$(BIN)/python -m docs.pages.metrics_page > docs/metrics.md.new && mv docs/metrics.md.new docs/metrics.md
	$(BIN)/python -m docs.pages.settings_page > docs/settings.md.new && mv docs/settings.md.new docs/settings.md
	$(BIN)/python -m docs.pages.states_page > docs/states.md.new && mv docs/states.md.new docs/states.md
	$(BIN)/python -m docs.pages.screenshot docs/top.svg
	$(BIN)/python -m docs.pages.runbook docs/runbook.md

lock: $(VENV)/installed ## pin every dependency anew, on the oldest Python, with hashes and without an index
	$(BIN)/pip-compile --upgrade --all-extras --generate-hashes --allow-unsafe --strip-extras \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header --no-annotate \
	  --output-file requirements.lock pyproject.toml

lock-peers: $(VENV)/installed ## pin what `make bench-peers` installs anew
	$(BIN)/pip-compile --upgrade --generate-hashes --allow-unsafe --strip-extras \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header --no-annotate \
	  --output-file benchmarks/peers/requirements.lock benchmarks/peers/requirements.in

clean: ## remove what the other targets made
	rm -rf $(VENV) $(PEERS) .servers .venv-newest .venv-appproxy-* .venv-model-server .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
