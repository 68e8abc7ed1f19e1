# `make run` and `make test` are all that a newcomer needs; `make help` lists the rest.
PYTHON ?= python3
# The default interpreter has .venv, `make PYTHON=python3.12 …` has .venv-3.12.
VENV := .venv$(patsubst python%,-%,$(filter-out python python3,$(notdir $(PYTHON))))
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
BENCH_STAMP := $(VENV)-bench/installed

.DEFAULT_GOAL := help
.PHONY: help run test test-all test-versions check bench docs format lint words lock clean

help: ## Print this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml requirements.lock
	@tools/find-python $(PYTHON) > /dev/null \
		|| { echo "$(PYTHON) is not on this machine"; exit 1; }
	@"$$(tools/find-python $(PYTHON))" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than Python 3.11: make PYTHON=python3.12 …"; exit 1; }
	@"$$(tools/find-python $(PYTHON))" -m venv --clear $(VENV) \
		|| { echo "$(PYTHON) cannot make a virtual environment: install its venv package"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(STAMP)

run: $(STAMP) ## From a fresh machine to a gateway that serves.
	@$(BIN)/gateway dev

test: $(STAMP) ## From a fresh machine to a test run.
	$(BIN)/python -m pytest --numprocesses 4 --dist worksteal $(TESTS)

test-all: ## Every test on each Python from 3.11 to 3.13 that this machine has.
	@tools/on-each-python $(MAKE) test

test-versions: ## The tests of tests/unit and tests/flow on the Pythons beside the default one.
	@tools/on-each-python --others $(MAKE) test TESTS="tests/unit tests/flow"

docs: $(STAMP) ## Make the tables of the documentation anew.
	$(BIN)/python docs/tables.py
	$(BIN)/python docs/console.py docs/operations.md

format: $(STAMP) ## Mend the style that can be mended, and format every file.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lint: $(STAMP) ## Style, types, container files.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml

words: $(STAMP) ## Words that the project's sentences do without, and what to write instead.
	$(BIN)/python tools/words.py

bench: $(STAMP) $(BENCH_STAMP) ## The gateway beside its peers: docs/benchmarks.md, in about a quarter of an hour.
	$(BIN)/python benchmarks/run.py --baselines $(VENV)-bench/bin/python --write $(BENCH)

$(BENCH_STAMP): benchmarks/requirements.txt requirements.lock
	@$(PYTHON) -m venv --clear $(VENV)-bench
	$(VENV)-bench/bin/python -m pip install --quiet --disable-pip-version-check \
		--requirement benchmarks/requirements.txt
	@touch $(BENCH_STAMP)

check: lint test ## What CI runs.

lock: ## Pin every dependency anew, from pyproject.toml.
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet pip-tools
	CUSTOM_COMPILE_COMMAND="make lock" $(VENV)-lock/bin/pip-compile --quiet --upgrade --strip-extras \
		--extra dev --extra test --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--output-file requirements.lock pyproject.toml
	rm -rf $(VENV)-lock

clean: ## Remove what make made; the database of `make run` stays in .gateway/.
	rm -rf .venv .venv-* benchmarks/baselines/fastify/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
