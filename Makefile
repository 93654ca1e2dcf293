# The few verbs of this project; each is a thin layer over the scripts of package.json.

.DEFAULT_GOAL := help
.PHONY: help demo test bench chaos fuzz build lint format up down clean

NODE_MODULES := node_modules/.installed
BUILD := dist/.built
SOURCES := $(shell find src migrations test bench -type f 2>/dev/null)
CLI := node --max-semi-space-size=8 --max-old-space-size=1900 --enable-source-maps dist/src/cli/main.js

help: ## show these verbs
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-8s %s\n", $$1, $$2 }'

demo: $(BUILD) ## charge 20,000 simulated LLM requests and prove the ledger (installs and starts what it needs)
	$(CLI) demo $(ARGS)

test: $(NODE_MODULES) ## lint, type check and run every test on a stack of its own (ARGS="--suite unit --grep text")
	npm run --silent lint
	@$(MAKE) --no-print-directory $(BUILD)
	node --enable-source-maps dist/test/run.js $(ARGS)

bench: $(BUILD) ## measure the ledger beside its references, about half an hour (ARGS="--runs 1 --workloads spread")
	$(CLI) bench $(ARGS)

chaos: $(BUILD) ## charge under load while everything breaks at random, then prove the ledger (ARGS="--minutes 10 --seed 1")
	node --enable-source-maps dist/test/chaos/main.js $(ARGS)

fuzz: $(BUILD) ## charge a million arbitrary messages (MESSAGES=), or 100,000 record batches (LEVEL=batches BATCHES=); FC_SEED=1 replays
ifeq ($(LEVEL),batches)
	TOLLBOOK_FUZZ_BATCHES=$(or $(BATCHES),100000) node --enable-source-maps dist/test/run.js --suite integration --grep 'a flood of record batches'
else
	TOLLBOOK_FUZZ_MESSAGES=$(or $(MESSAGES),1000000) node --enable-source-maps dist/test/run.js --suite integration --grep 'a flood of arbitrary messages'
endif

build: $(BUILD) ## compile to dist/

lint: $(NODE_MODULES) ## ESLint and Prettier, without changing anything
	npm run --silent lint

format: $(NODE_MODULES) ## let Prettier lay out every file
	npm run --silent format

up: $(BUILD) ## start Kafka, PostgreSQL and Redis on this machine
	$(CLI) stack up

down: $(BUILD) ## stop them; their data stays
	$(CLI) stack down

clean: ## stop the local stacks and remove what was built and stored
	@for dir in .tollbook/stack .tollbook/test-stack .tollbook/stack-under-test .tollbook/fault-stack .tollbook/fault-stack-cluster .tollbook/chaos-stack .tollbook/chaos-stack-cluster; do \
	  if [ -f "$$dir/state.json" ]; then \
	    if [ -f dist/src/cli/main.js ]; then $(CLI) stack down --purge --dir "$$dir"; \
	    else echo "a stack may be running from $$dir: run 'make down' first" >&2; exit 1; fi; \
	  fi; \
	done
	rm -rf dist .tollbook

# npm ci removes node_modules first, so the stamp inside it is true by construction.
$(NODE_MODULES): package.json package-lock.json
	npm ci
	@touch $@

# From scratch, so that no compiled file outlives its source.
$(BUILD): $(NODE_MODULES) tsconfig.json $(SOURCES)
	rm -rf dist
	npm run --silent build
	@touch $@
