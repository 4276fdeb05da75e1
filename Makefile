# The few commands that a person types. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
IMAGE ?=
OUT ?= overlays
SEED ?= 1
BENCH_ARGS ?=
STAMP := $(VENV)/.installed
LOCK_FLAGS := -q --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --python-version 3.11

.DEFAULT_GOAL := help
.PHONY: help setup run up test slow chaos bench lint format protos lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: $(STAMP) ## Install everything into .venv, pinned by constraints.txt

$(STAMP): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("nevus needs Python 3.11 or newer; name one with make PYTHON=...") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'Installing nevus and its dependencies into $(VENV) (about 700 MB, TensorFlow is most of it) ...'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r constraints.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

run: setup ## Start everything, analyse IMAGE=path (default: a drawn lesion), write the overlay, stop
	@PATH="$(CURDIR)/$(BIN):$$PATH" IMAGE="$(IMAGE)" OUT="$(OUT)" bash deploy/run-once.sh

up: setup ## Start everything and keep it running (Ctrl-C stops)
	@$(BIN)/nevus up

test: setup ## Run the tests (some minutes)
	@$(BIN)/python -m pytest -q

slow: setup ## Run the long tests as well: real images, thousands of jobs, killed processes
	@$(BIN)/python -m pytest -q -m 'slow or chaos'

chaos: setup ## Kill workers, brokers and front ends under a load of 2,000 jobs; print what came of it (12 minutes)
	@PYTHONPATH=tests $(BIN)/python -m chaos storm --jobs 2000 --seed $(SEED)

bench: setup ## Measure against the in-process ceiling (10 minutes); BENCH_ARGS='--in-flight 32 --size 1022x767': a part
	@PYTHONPATH=tests:. $(BIN)/python -m bench $(BENCH_ARGS)

lint: setup ## Check style, types, contract and generated code
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@protos/generate.sh --check
	@$(BIN)/buf lint

format: setup ## Put the code into shape
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

protos: ## Generate the Python stubs from protos/
	@protos/generate.sh

lock: setup ## Work out all pinned versions anew (needs uv: pip install uv)
	@uv pip compile $(LOCK_FLAGS) --universal --extra dev -o constraints.txt pyproject.toml
	@uv pip compile $(LOCK_FLAGS) -c constraints.txt --universal --extra server -o deploy/server.lock pyproject.toml
	@uv pip compile $(LOCK_FLAGS) -c constraints.txt --universal --extra worker -o deploy/worker.lock pyproject.toml
	@uv pip compile $(LOCK_FLAGS) -c constraints.txt --python-platform x86_64-manylinux_2_28 --extra worker-gpu \
	  -o deploy/worker-gpu.lock pyproject.toml
	@printf 'hatchling\n' | uv pip compile $(LOCK_FLAGS) -c constraints.txt --universal -o deploy/build.lock -

clean: ## Remove what was built (not .venv, not data)
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
