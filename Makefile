# make run      one member on its defaults, ready on http://127.0.0.1:2379
# make test     everything that CI runs
# make help     the rest

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest
# Processes that run tests. Servers of tests mostly wait, for elections and for time-outs.
WORKERS ?= 2
# The pure rooms, whose every branch is tested.
COMPLETE := raft apply v2 storage

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.PHONY: help run test tools lint types imports unit simulation conformance integration \
	docs tables news bench clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

# A virtual environment with kvd and the test tools in it. Twisted finds the plugin of an
# editable installation only if its folder is on the path, which newer ways of pip do not
# see to, so a .pth file does.
$(STAMP): setup.py pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "kvd needs Python 3.11 or newer; set PYTHON=" >&2; exit 1; }
	@echo "installing into $(VENV) ..."
	@{ $(BIN)/python -m pip install -q 'setuptools>=70.1' && \
		$(BIN)/python -m pip install -q --no-build-isolation -e '.[test]' \
			&& $(BIN)/python -c 'import os, sysconfig; open(os.path.join( \
			sysconfig.get_path("purelib"), "kvd-source.pth"), "w").write(os.getcwd())'; \
		} > $(VENV)/install.log 2>&1 || { cat $(VENV)/install.log >&2; exit 1; }
	@touch $@

run: $(STAMP) ## one member on its defaults, ready on http://127.0.0.1:2379
	@exec $(BIN)/kvd

test: tools lint types imports unit docs simulation conformance integration ## all of it, as CI runs it

# Debian's etcd, etcdctl, curl, wrk and iproute2: the oracle and the clients.
tools: $(STAMP)
	@bash tests/tools.sh

lint: $(STAMP) ## ruff: format and rules
	@$(BIN)/ruff format --check -q . || \
		{ $(BIN)/ruff format --check . ; exit 1; }
	@$(BIN)/ruff check -q .

types: $(STAMP) ## mypy, strict
	@$(BIN)/mypy --no-error-summary kvd

imports: $(STAMP) ## the tower: who may import whom
	@$(BIN)/lint-imports --no-cache > $(VENV)/imports.log 2>&1 || \
		{ cat $(VENV)/imports.log; exit 1; }

unit: $(STAMP) ## unit tests, with every branch of the pure rooms covered
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m pytest -n $(WORKERS) \
		--ignore=tests/simulation --ignore=tests/conformance --ignore=tests/integration
	@$(BIN)/coverage combine -q
	@for room in $(COMPLETE); do \
		$(BIN)/coverage report --include="kvd/$$room/*" --fail-under=100 > /dev/null || \
		{ $(BIN)/coverage report --include="kvd/$$room/*"; exit 1; }; \
	done
	@echo "every branch of $(COMPLETE) is covered;" \
		"all of kvd: $$($(BIN)/coverage report --format=total) %"

simulation: $(STAMP) ## whole members on simulated clock, network and disk
	@$(PYTEST) -n $(WORKERS) tests/simulation

conformance: tools ## the same requests to kvd and to etcd 3.4
	@$(PYTEST) -n $(WORKERS) --dist loadfile tests/conformance

integration: tools ## real members, real clients, kill -9
	@$(PYTEST) -n $(WORKERS) --dist loadfile tests/integration

docs: $(STAMP) ## docs/_build/html
	@$(PYTEST) -q tests/test_documents.py
	@$(BIN)/sphinx-build -q -n -E -W docs docs/_build/html
	@echo "documentation: docs/_build/html/index.html"

# To be run after an option was added or changed in kvd/options.
tables: $(STAMP) ## write the tables of options in docs and conf anew
	@KVD_REWRITE=1 $(PYTEST) -q tests/test_documents.py

news: $(STAMP) ## what the next release's NEWS.rst will say
	@$(BIN)/towncrier build --draft --version next

bench: tools ## kvd beside etcd: one table of ratios
	@$(BIN)/python bench/run.py

clean: ## remove what make made, but no member's data
	rm -rf $(VENV) docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache .coverage .coverage.* *.egg-info build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
