# The front door. `make` lists the targets. Nothing but Python 3.11 or newer and make is needed: each target first
# looks for all that it needs (tests/setup), and brings .venv up to the locked requirements.

PYTHON ?= python3
VENV ?= .venv
UV ?= $(firstword $(wildcard $(VENV)/bin/uv) uv)
ARGS ?=
# Processes that run tests side by side: twice as many as there are cores, since each waits a part of the time.
WORKERS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))
# Unit tests commit thousands of times, and prove nothing about disks: where Linux has room for files in memory, `make check`
# waits for no disk. `make test` runs them on the disk.
IN_MEMORY = $(shell df -k /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 1000000 { print "PYTEST_DEBUG_TEMPROOT=/dev/shm" }')
# Fault rows that run side by side: they wait most of the time.
SIDE_BY_SIDE ?= 3

# An environment that forbids it would have each process compile, and rewrite the assertions of, every file again.
unexport PYTHONDONTWRITEBYTECODE

# Programs that were fetched come first. nginx and debootstrap are in sbin, which is on the path of root alone.
export PATH := $(CURDIR)/.cache/bin:$(PATH):/usr/sbin:/sbin

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SOURCES := relay tests $(wildcard bench deploy docs)

.DEFAULT_GOAL := help
.PHONY: help setup setup-test setup-faults setup-deploy setup-cluster setup-release demo serve test faults fuzz soak mutants check build release-check image publish docs site format bench lock screenshots check-deploy check-cluster check-machine check-pythons check-format check-lint check-types check-imports check-unit check-static

help: ## list the targets
	@sed -nE 's/^([a-z%-]+):.*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r target what; do \
	  printf '  make %-16s %s\n' "$$target" "$$what"; done

setup: ## all that the targets below need: installed (as root on Debian), fetched into .cache, or the command that does it
	$(call set-up,test deploy)

setup-test setup-faults setup-deploy setup-cluster setup-release: setup-%:
	$(call set-up,$*)

# First what takes a second and may fail; with one line in the shell `make --jobs` cannot change the order.
define set-up
@$(SUPPORTED) && $(PYTHON) -m tests.setup $(1) && $(MAKE) --silent $(INSTALLED) \
  && $(BIN)/python -m tests.setup.fetch $(1)
endef

demo: $(INSTALLED) ## a simulated upstream and a relay on loopback, events as they come (ARGS="--once")
	$(BIN)/relay demo $(ARGS)

serve: $(INSTALLED) ## the relay itself (ARGS="--config relay.yaml")
	$(BIN)/relay serve $(ARGS)

# Tests that ARGS name run one after the other, and fetch what they need.
test: $(if $(ARGS),$(INSTALLED),setup-test) ## every check and test, real brokers included (ARGS="tests/unit -k journal")
	$(if $(ARGS),,@$(MAKE) --no-print-directory --jobs=2 --keep-going check-static)
	$(BIN)/python -m pytest $(or $(ARGS),-q --forks $(WORKERS))

faults: setup-faults ## the fault matrix: kills, fills and cuts everything, and reports (ARGS=--long: three times as much, and Kafka 3.9)
	@status=0; for rows in "--forks $(SIDE_BY_SIDE) --each" --alone; do \
	  $(BIN)/python -m pytest -q --matrix $$rows $(ARGS) || [ $$? = 5 ] || status=1; \
	done; exit $$status  # 5: ARGS name none of these rows

MINUTES ?= 30
soak: $(INSTALLED) ## mixed load, outages, kills and slow readers for half an hour: nothing lost, repeated or growing (MINUTES=)
	$(BIN)/python -m pytest -q -s --soak $(MINUTES) $(ARGS)

mutants: $(INSTALLED) ## plant small mistakes in the code and list those that no test notices (ARGS="--sample 600 relay/core")
	$(BIN)/python -m tests.mutants $(ARGS)

fuzz: $(INSTALLED) ## every parser that is ours under a fuzzer, 10 minutes each (ARGS="--seconds 60 sse wire")
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/fuzz.txt
	$(BIN)/python -m tests.fuzz $(ARGS)

# Not --output-sync: it would keep the tests' progress back until their end.
check: $(INSTALLED) ## format, lint, types, imports and unit tests: before each commit, under a minute
	@$(MAKE) --no-print-directory --jobs=3 --keep-going check-static check-unit

# All of it but the unit tests, which `make test` runs as well.
check-static: check-types check-format check-lint check-imports

check-format: $(INSTALLED)
	$(BIN)/ruff format --check $(SOURCES)

check-lint: $(INSTALLED)
	$(BIN)/ruff check $(SOURCES)

check-types: $(INSTALLED)
	$(BIN)/mypy

check-imports: $(INSTALLED)
	$(BIN)/lint-imports --no-cache --no-logo

# Twice as many processes as elsewhere: forked ones share what is collected, and on two cores six leave no time unused.
check-unit: $(INSTALLED)
	$(IN_MEMORY) $(BIN)/python -m pytest -q --forks $$((2 * $(WORKERS))) --hypothesis-profile=quick tests/unit $(ARGS)

check-pythons: $(INSTALLED) ## unit, sink and journal tests on every Python from 3.11 to 3.14 that is at hand (ARGS="3.12 3.13")
	$(BIN)/python -m tests.pythons $(ARGS)

screenshots: $(INSTALLED) ## the pictures in docs/images, taken again from a running console (ARGS=FOLDER: every view, to look at)
	$(BIN)/python -m tests.e2e.console_screenshots $(ARGS)

check-deploy: setup-deploy ## image, chart, rules, dashboards, workflows and release: needs root for the image (ARGS="-k chart")
	$(BIN)/python -m pytest deploy/tests $(ARGS)

# Plain Python: it must not lean on what it is to prove.
check-machine: ## the README's two commands on an empty Debian: as root, with debootstrap (ARGS="--suite=trixie --all")
	@$(SUPPORTED) && $(PYTHON) -m deploy.tests.empty_machine $(ARGS)

check-cluster: setup-cluster ## the chart on a real Kubernetes of two nodes, under load: root, 25 minutes (ARGS="--sink redis --scenario zombie")
	$(BIN)/python -m deploy.cluster $(ARGS)

build: setup-release ## dist/: wheel, source archive and bill of materials of the last commit; each build has the same bytes
	$(BIN)/python -m deploy.release.build

release-check: setup-release ## whether the last commit can be released: versions agree, two builds are equal, the wheel works (TAG=v0.1.0)
	TAG=$(TAG) $(BIN)/python -m deploy.release.check

image: setup-release ## dist/: the image of the last commit, on a base pinned by its digest, and its bill of materials (BASE=)
	SYFT=$(abspath $(BIN))/syft deploy/release/image.sh localhost/relay:release

publish: $(INSTALLED) ## put the image of dist/ and its chart into a registry, and sign both: the release workflow does (REGISTRY=)
	PYTHON=$(BIN)/python deploy/release/publish.sh

docs: $(INSTALLED) ## write docs/reference/ again, from the settings, the metrics, the schemas and the errors
	$(BIN)/python -m docs.reference

# mkdocs-material announces its own end in every build; pyproject.toml has the date. With --quiet nothing would be strict.
site: $(INSTALLED) ## build/site/html: the pages as a site, each link checked (SOURCE=: the repository's address)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/site.txt
	$(BIN)/python -m docs.site build/site/pages
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: $(INSTALLED) ## format the code and sort its imports
	$(BIN)/ruff check --fix-only --quiet $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

bench: $(INSTALLED) ## every benchmark, one after the other
	@set -e; for script in $(basename $(notdir $(wildcard bench/[a-z]*.py))); do \
	  echo "== $$script"; $(BIN)/python -m bench.$$script $(ARGS); done

bench-%: bench/%.py $(INSTALLED) ## one benchmark: make bench-webhooks runs bench/webhooks.py
	$(BIN)/python -m bench.$* $(ARGS)

LOCK = $(UV) pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --custom-compile-command 'make lock' $(ARGS)

lock: ## write requirements/*.txt again from pyproject.toml (ARGS="--upgrade"); needs uv
	@command -v $(UV) >/dev/null || { echo "make lock needs uv. Install it: $(BIN)/pip install uv" >&2; exit 1; }
	$(LOCK) pyproject.toml --output-file requirements/run.txt
	$(LOCK) pyproject.toml --all-extras --group dev --constraints requirements/run.txt --output-file requirements/dev.txt
	for extra in archive compression msk otel; do \
	  $(LOCK) pyproject.toml --extra $$extra --constraints requirements/dev.txt --output-file requirements/$$extra.txt || exit; \
	done
	$(LOCK) --group build --constraints requirements/dev.txt --output-file requirements/build.txt
	$(LOCK) --group deploy --constraints requirements/dev.txt --output-file requirements/deploy.txt
	$(LOCK) --group release --constraints requirements/dev.txt --output-file requirements/release.txt
	$(LOCK) --group site --constraints requirements/dev.txt --output-file requirements/site.txt
	$(LOCK) --group fuzz --constraints requirements/dev.txt --output-file requirements/fuzz.txt
	$(LOCK) --group bench --output-file requirements/bench.txt
	$(LOCK) --group go --output-file requirements/go.txt
	$(LOCK) --group node --output-file requirements/node.txt

SUPPORTED = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
  echo "relay needs Python 3.11 or newer. Name one: make PYTHON=python3.12" >&2; exit 1; }

# An environment that is already there is brought up to date, not rebuilt.
$(INSTALLED): requirements/dev.txt pyproject.toml
	@$(SUPPORTED) && $(PYTHON) -m tests.setup python
	@echo "Installing requirements/dev.txt into $(VENV)"
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt || { \
	  echo "The Python packages come from PyPI (a mirror: PIP_INDEX_URL). Is there a network? Then start again." >&2; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
