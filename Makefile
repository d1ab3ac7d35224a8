# Thin: each target is one script or one command. `.ci/run` calls `lint` and `test`.
# All of them use the release profile and the whole workspace, so that RocksDB is compiled once.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup build demo devnet test durability hostile coverage lint bench fuzz sim docs

BIN := $(or $(CARGO_TARGET_DIR),target)/release
DEVNET ?= target/devnet
FUZZ_SECONDS ?= 30

help: ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/make \1\t\2/' | expand -t 16

setup: ## install what a build needs, or say what to install
	@deploy/dev/setup.sh

build: setup ## every binary, in release mode
	cargo build --locked --release --workspace

demo: setup ## a private network on this machine carries messages, loses nodes and loses nothing
	@deploy/dev/demo.sh

devnet: build ## the demo's network, left running in DEVNET (target/devnet)
	$(BIN)/enjambre-node devnet up --dir $(DEVNET)

test: setup ## every test
	@deploy/dev/test.sh

durability: setup ## 20 power cuts of every process; a build of the node without syncs must be caught
	@deploy/dev/durability.sh

hostile: setup ## 100 000 hostile requests to a running node; `make test` sends 20 000
	cargo build --locked --release --workspace --bins --tests
	ENJAMBRE_HOSTILE_COUNT=100000 cargo test --locked --release --workspace --test hostile

coverage: setup ## how often the simulator's 95 % intervals hold the true value, over 1000 seeds
	cargo test --locked --release -p swarm-sim --test coverage -- --ignored --nocapture

lint: setup ## format, clippy, dependency rule, documentation, licences
	@deploy/dev/lint.sh

bench: setup ## what things cost: packets beside their primitives, load on a network of processes
	@deploy/dev/bench.sh

fuzz: setup ## each fuzz target for FUZZ_SECONDS (30); needs nightly and cargo-fuzz
	@FUZZ_SECONDS=$(FUZZ_SECONDS) deploy/dev/fuzz.sh

sim: build ## the example scenarios
	@for scenario in swarm-sim/scenarios/*.toml; do \
	  $(BIN)/swarm-sim run $$scenario --seed 1 --out target/runs/$$(basename $$scenario .toml) --overwrite; done

docs: setup ## the documentation of every crate
	cargo doc --locked --release --workspace --no-deps
