# Needs make and a Python of 3.11 or newer; everything else is installed in .venv.
#   make help          lists the targets
#   make test PYTHON=/path/to/python3.12   chooses the interpreter of a new .venv
#   make test PYTHON=python3.12 VENV=.venv-3.12   keeps an environment for each
# What the examples need is heavy: each has an environment of its own beside that, $(VENV)-NAME.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Zope has an environment of its own, made by `make test-all`.
ZOPE_VENV := $(VENV:%/=%)-zope
ZOPE_STAMP := $(ZOPE_VENV)/.installed
PYTHON ?=
ARGS ?=
# How many processes share the tests; "0" for none but this one. Some tests wait, so on two cores a
# third process does more; each one needs some seconds to collect the tests.
JOBS ?= 3
SECONDS ?= 120

# Modules are compiled when they are first imported: most of what is installed never is.
PIP_INSTALL := pip install --quiet --disable-pip-version-check --no-compile

# Prints the first interpreter that really runs, is new enough and can make a virtual environment. Every match on PATH
# is tried, not only the first: version managers leave shims there that exist and yet fail.
define FIND_PYTHON
suits() { "$$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }; \
find_python() { \
	if [ -n "$(PYTHON)" ]; then suits "$(PYTHON)" && echo "$(PYTHON)"; return; fi; \
	for name in python3.13 python3.12 python3.11 python3; do \
		for found in $$(IFS=:; for folder in $$PATH; do echo "$$folder/$$name"; done); do \
			if [ -x "$$found" ] && suits "$$found"; then echo "$$found"; return; fi; \
		done; \
	done; \
	return 1; \
}
endef

# Makes an environment in the folder $(1), unless there is one whose interpreter suits.
define MAKE_ENVIRONMENT
$(FIND_PYTHON); \
if ! suits "$(1)/bin/python"; then \
	python=$$(find_python) || { \
		echo "No usable Python $(or $(PYTHON),of 3.11 or newer on PATH): it has to run, be 3.11 or newer and have" \
			"the venv module. Name one with: make PYTHON=/path/to/python3" >&2; \
		exit 1; \
	}; \
	echo "making $(1) with $$python"; \
	"$$python" -m venv --clear $(1); \
fi
endef

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: install
install: $(STAMP) ## make or refresh .venv

# The stamp is as new as the files that say what to install.
$(STAMP): pyproject.toml setup.py
	@$(call MAKE_ENVIRONMENT,$(VENV))
	$(BIN)/python -m $(PIP_INSTALL) --editable '.[test,check]'
	@touch $@

# Of the same interpreter, which may be another one where $(VENV) was made anew.
$(ZOPE_STAMP): $(STAMP) pyproject.toml setup.py tests/zope/requirements.txt
	@version='import sys; print(sys.version)'; \
	if [ "$$($(ZOPE_VENV)/bin/python -c "$$version" 2>/dev/null)" != "$$($(BIN)/python -c "$$version")" ]; then \
		echo "making $(ZOPE_VENV), with Zope, for tests/zope"; \
		$(BIN)/python -m venv --clear $(ZOPE_VENV); \
	fi
	$(ZOPE_VENV)/bin/python -m $(PIP_INSTALL) --editable '.[z3]' \
		--requirement tests/zope/requirements.txt
	@touch $@

.PHONY: demo
demo: $(STAMP) ## see it work
	@$(BIN)/zc-async demo $(ARGS)

# They start hundreds of processes: each would compile everything anew.
test test-all test-examples bench torture: export PYTHONDONTWRITEBYTECODE :=

.PHONY: test
test: $(STAMP) ## the quick tests
	$(BIN)/python -m pytest -m "not slow" -n $(JOBS) --dist worksteal $(ARGS)

# The slow tests that reach what the quick ones do not. To measure them all takes half as long again.
MEASURED := $(addprefix tests/,demo ftesting relstorage worker zeo)

.PHONY: test-all
test-all: export ZC_ASYNC_TEST_ZOPE := $(abspath $(ZOPE_VENV))/bin/python
test-all: $(STAMP) $(ZOPE_STAMP) ## every test; measures the coverage
	$(BIN)/python -m pytest -m "not slow" -n $(JOBS) --dist worksteal --cov --cov-report= --cov-fail-under=0
	$(BIN)/python -m pytest -m slow -n $(JOBS) --dist worksteal $(MEASURED) --cov --cov-append --cov-report=term
	$(BIN)/python -m pytest -m slow -n $(JOBS) --dist worksteal $(addprefix --ignore=,$(MEASURED))
	$(MAKE) --no-print-directory test-examples

# The examples have environments of their own: the library does not need what they need.
$(VENV)-%/.installed: examples/%/pyproject.toml pyproject.toml setup.py
	@$(call MAKE_ENVIRONMENT,$(@D))
	$(@D)/bin/python -m $(PIP_INSTALL) --editable . --editable 'examples/$*[test]'
	@touch $@

REPORTS := $(abspath $(VENV)-reports)
.PHONY: example-reports
example-reports: $(VENV)-reports/.installed ## a site that makes reports by jobs, in one process; ARGS="--port 8081"
	@$(REPORTS)/bin/python -m reports --folder examples/reports/var $(ARGS)

.PHONY: example-reports-zeo
example-reports-zeo: $(VENV)-reports/.installed ## the same: a ZEO server, a web process and two workers
	@$(REPORTS)/bin/python -m reports --folder examples/reports/var-zeo --zeo $(ARGS)

MYPYPI := $(abspath $(VENV)-mypypi)
.PHONY: example-mypypi
example-mypypi: $(VENV)-mypypi/.installed ## an application of Grok: a ZEO server, two instances, an index that they follow
	@$(MYPYPI)/bin/mypypi-demo --folder examples/mypypi/var $(ARGS)

.PHONY: pictures-mypypi
pictures-mypypi: $(VENV)-mypypi/.installed ## the pictures of its README, from the running application
	$(MYPYPI)/bin/python -m mypypi_demo.screenshots examples/mypypi/screenshots

.PHONY: test-example-mypypi
test-example-mypypi: $(VENV)-mypypi/.installed ## the tests of that one, in browsers too
	cd examples/mypypi && $(MYPYPI)/bin/python -m pytest $(ARGS)

# Tests with a layer are run by both test runners, those that start processes by pytest alone.
.PHONY: test-example-reports
test-example-reports: $(VENV)-reports/.installed ## the tests of that one, in browsers too
	cd examples/reports && $(REPORTS)/bin/python -m pytest $(ARGS)
	cd examples/reports && $(REPORTS)/bin/zope-testrunner --path=. -s ftests --tests-pattern='^test_(?!processes)' -v

.PHONY: test-examples
test-examples: test-example-reports test-example-mypypi ## the tests of the examples

.PHONY: check
check: $(STAMP) ## linter, formatter, types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

.PHONY: bench
bench: $(STAMP) ## measure; ARGS="..." replaces `--json bench.json`
	$(BIN)/python -m benchmarks $(or $(ARGS),--json bench.json)

.PHONY: torture
torture: $(STAMP) ## break everything while jobs run, for SECONDS=120; ARGS="--seed S" and others
	$(BIN)/python -m tests.torture --seconds $(SECONDS) $(ARGS)

.PHONY: clean
clean: ## remove .venv and everything made
	rm -rf $(VENV) $(VENV)-* .venv-3.* build dist .coverage .coverage.* htmlcov .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -rf src/*.egg-info examples/*/*.egg-info examples/*/src/*.egg-info examples/*/var* bench.json .tox bin develop-eggs eggs parts .installed.cfg
	find src tests examples -name __pycache__ -type d -prune -exec rm -rf {} +
