# The developers' interface. Every target does what it lacks: `make up` on a bare clone sets up first.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.nightshift-setup
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile \
	--use-pep517 --no-build-isolation
# Three processes on two cores, each with stores of its own: tests under a scheduler mostly wait.
PARALLEL := $(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder --durations 10
# What `make test` leaves out: targets of their own run it.
LATER := interface or slow or drift or chaos or kubernetes or browser
# As root, or where sudo asks for no password; elsewhere `setup` ends with the line that says what to install.
APT_INSTALL = command -v apt-get >/dev/null && \
	{ test "$$(id -u)" = 0 && root= || { sudo -n true 2>/dev/null && root="sudo -n"; }; } && \
	export DEBIAN_FRONTEND=noninteractive && $$root apt-get update -qq && \
	$$root apt-get install -qq --no-install-recommends

.DEFAULT_GOAL := help
.PHONY: help place setup up down demo test test-unit test-services test-interfaces test-oncall \
	test-slow test-drift test-kubernetes test-chaos test-browser lint docs bench lock images clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

setup: $(SETUP) ## Install everything into .venv, and Java where the package manager may
	@$(BIN)/python -m jobs.stores.java
	@$(BIN)/python -m jobs.stores.spark_archive 2>/dev/null || true

up: setup ## Start PostgreSQL, Redis, MLflow and Airflow on free ports
	@$(BIN)/nightshift up

down: ## Stop them; the data stays
	@test ! -x $(BIN)/nightshift || $(BIN)/nightshift down

demo: setup ## From nothing to served tables (DATA=<folder>: on your own files)
	@$(BIN)/nightshift demo $(if $(DATA),--data $(DATA))

test: setup ## Run the unit tests, stores, steps, one scheduled night and on-call's buttons
	@$(PARALLEL) -m "not ($(LATER))"

test-unit: setup ## Run the tests that start no service and no other process
	@$(BIN)/pytest --numprocesses 2 --dist loadfile --durations 10 -m unit

test-services: setup ## Run what `make test` runs besides the unit tests
	@$(PARALLEL) -m "not (unit or $(LATER))"

test-interfaces: setup ## Run those of command line, plugins, DAGs, pods, images, documents
	@$(PARALLEL) -m interface

test-oncall: setup ## Run on-call's actions on a scheduler: clear, approve, roll back, retry, backfill
	@$(PARALLEL) -m oncall

test-slow: setup ## Run the slow tests
	@$(PARALLEL) -m slow

test-drift: setup ## Play drift, gate and approval over simulated weeks, and print them as a table
	@$(BIN)/pytest -m drift

test-kubernetes: setup ## Run every test of steps as pods, against a double of the Kubernetes API
	@$(BIN)/pytest tests/pods tests/scheduler/test_night_in_pods.py

test-chaos: setup ## Kill everything while the scheduler runs nights; writes docs/reliability.md
	@$(BIN)/pytest -m chaos --reliability=docs/reliability.md

test-browser: setup ## Approve and roll back in Airflow's UI by a real browser (Chromium)
	@$(BIN)/python tests/browser/chromium.py 2>/dev/null || { $(APT_INSTALL) chromium; } || true
	@$(BIN)/pytest tests/browser

lint: setup ## Check style and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

docs: setup ## Write the generated files: docs/tables.md, docs/params.md, docs/dags.md, dvc.yaml
	@$(BIN)/python docs/generate.py

bench: setup ## Measure
	@$(BIN)/python -m bench
	@$(BIN)/python -m bench.run_overhead
	@$(BIN)/python -m bench.recommend
	@$(BIN)/python -m bench.train

lock: ## Resolve requirements.in into requirements.lock, and that of the training image at the same versions
	@uv=$$(mktemp -d) && trap 'rm -rf "$$uv"' EXIT && $(PYTHON) -m venv "$$uv" && \
	"$$uv/bin/pip" install --quiet --disable-pip-version-check uv && \
	compile="$$uv/bin/uv pip compile --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url \
		--no-emit-find-links --python-version 3.11" && \
	$$compile --output-file requirements.lock requirements.in && cd docker/training && \
	$$compile --constraint ../../requirements.lock --output-file requirements.lock requirements.in

images: ## Build the images of Airflow and of training, tagged VERSION-COMMIT and VERSION
	@version=$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml) && \
	commit=$$(git describe --always --dirty --abbrev=12) && \
	for image in airflow training; do \
		docker build --file docker/$$image/Dockerfile --build-arg VERSION=$$version --build-arg COMMIT=$$commit \
			--tag nightshift-$$image:$$version-$$commit --tag nightshift-$$image:$$version . || exit; \
	done

clean: ## Stop the services and delete .venv and .nightshift with all data
	@test ! -x $(BIN)/nightshift || $(BIN)/nightshift down --purge
	rm -rf $(VENV) .nightshift

# A virtual environment refuses a colon in its path; the scripts that pip writes into it break at the others.
place:
	@case "$$(pwd)" in *[:\"\\\$$\`]*) printf '%s\n' \
		'error: the scripts of a virtual environment cannot lie in a folder with one of : " \ $$ ` in its path.' \
		"  Input: $$(pwd)." '  Next: move or clone the project to another folder' >&2; exit 1;; esac

# setuptools comes first, pinned: what has no wheel is built by it and by nothing fetched unpinned.
$(SETUP): requirements.lock pyproject.toml | place
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || { \
		echo "error: $(PYTHON) is not a Python 3.11 with venv. Next: install one (Debian, Ubuntu:" \
		"apt-get install python3.11 python3.11-venv; Fedora: dnf install python3.11; macOS:" \
		"brew install python@3.11), or name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Installing $$(grep -c == requirements.lock) packages into $(VENV); this takes some minutes"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@sed -n '/^setuptools==/,/[^\\]$$/p' requirements.lock > $(VENV)/build.lock
	@$(INSTALL) --require-hashes -r $(VENV)/build.lock
	@$(INSTALL) --require-hashes --no-deps -r requirements.lock
	@$(INSTALL) --no-deps --editable .
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null 2>&1 || true  # on all cores, which pip does not
	@$(BIN)/python -m jobs.stores.java 2>/dev/null || { $(APT_INSTALL) openjdk-17-jre-headless; } || true
	@touch $@
