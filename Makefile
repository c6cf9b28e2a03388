# Two words for everyone: `make demo` and `make test`. Both bring what they need.
.DEFAULT_GOAL := help
.PHONY: help demo test check lint bench bench-round bench-ledger bench-environment bench-notebook bench-project soak mutants setup format lock

BIN := .venv/bin
# A worker process per core and one more, since tests wait, too; each file of tests in one of them.
# PARALLEL= keeps all in one process.
# A worker that dies ends the run: its test would only kill the next. Soaks and benchmarks stay in one.
WORKERS := $(shell expr $$(nproc) + 1)
PARALLEL := -n $(WORKERS) --maxprocesses 4 --max-worker-restart 0 --dist loadfile --no-loadscope-reorder
# Without compiled modules every command would compile the whole package anew.
unexport PYTHONDONTWRITEBYTECODE

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## a train visits four hospitals, and its result is verified
	@scripts/setup demo
	@case "$(DEMO)" in *host*) ;; *) $(BIN)/branchline demo --prepare ;; esac
	@$(BIN)/branchline demo $(DEMO)

test: lint ## everything: format, lint, types, house, tests
	@$(BIN)/python -m pytest $(PARALLEL) $(PYTEST)

check: lint ## as `make test`, without the slow tests
	@$(BIN)/python -m pytest -m "not soak and not slow" $(PARALLEL) $(PYTEST)

lint: setup ## format, lint, types and house only
	@$(BIN)/ruff format --check --quiet . || { echo "Run 'make format'."; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --strict
	@$(BIN)/lint-imports --no-logo

soak: setup ## 10,000 kills, crashes, fuzzing; each test is named as it goes (one to two hours)
	@HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest -v -m soak $(PYTEST)

mutants: setup ## change the ledger's verifier in every small way: do the tests notice?
	@$(BIN)/python tests/ledger/mutants.py $(MUTANTS)

bench: bench-round bench-ledger bench-environment bench-notebook bench-project ## every benchmark

bench-round: setup ## an empty federated round, beside Flower's
	@$(BIN)/python benchmarks/round.py $(BENCH)

bench-ledger: setup ## the ledger, beside pymerkle and a bare SQLite table
	@$(BIN)/python benchmarks/ledger.py $(BENCH)

bench-environment: setup ## locked environments beside venv and pip, detection, surveys
	@$(BIN)/python benchmarks/environment.py $(BENCH)
	@$(BIN)/python benchmarks/environment_detect.py
	@$(BIN)/python benchmarks/environment_survey.py

bench-project: setup ## keeping a project, beside git, git-annex, DataLad and DVC
	@$(BIN)/python benchmarks/project.py $(BENCH)

bench-notebook: setup ## recording a notebook, beside running it under nbclient alone
	@$(BIN)/python benchmarks/notebook.py $(BENCH)

setup: ## Debian packages and .venv for developers
	@scripts/setup dev

format: setup ## put every file into the one format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: setup ## renew the locks after a change of dependencies
	@scripts/lock
