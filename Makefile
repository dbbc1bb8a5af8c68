# make run    a gateway on this machine; everything it needs goes into .venv
# make quick  the tests without process or socket, half a minute: while you type
# make test   what every change is run through, ten minutes on two cores
# make test-hard   what is slow and must still hold, before a change is taken: .ci/run does all three
# make test-long   all tests, with the full counts: hours
# make check  style, types and imports
# make bench  the measurements, some minutes           make bench-full  the long ones
# make clean  removes .venv and caches; never ./data
#
# PYTHON=python3.12   the interpreter for .venv       CONFIG=other.yaml   for `make run`
# ARGS="-k journal"   more for pytest or the bench

BIN := .venv/bin
PYTHONS := $(or $(PYTHON),python3.13 python3.12 python3.11 python3)
CONFIG ?=
ARGS ?=
# `where` needs a package more (an extra), so `make run` looks whether the configuration has one.
HASH := \#
EXTRA := $(shell grep -Eqs '^[^$(HASH)]*where.?[[:space:]]*:' '$(or $(CONFIG),config.yaml)' && echo -where)
NATIVE := $(wildcard gateway/native/*.c gateway/native/*.h)

.PHONY: run quick test test-hard test-long check bench bench-full clean
.DELETE_ON_ERROR:

run: .venv/.installed$(EXTRA)
	@$(BIN)/gateway run $(if $(CONFIG),--config '$(CONFIG)')

PYTEST := $(BIN)/pytest -n 2 --dist loadgroup

quick: .venv/.installed-test
	$(PYTEST) -m 'quick and not hard' $(ARGS)

test: .venv/.installed-test .venv/.installed-sdk
	$(PYTEST) -m 'not hard' $(ARGS)

test-hard: .venv/.installed-test .venv/.installed-sdk
	$(PYTEST) -m hard $(ARGS)

test-long: .venv/.installed-test .venv/.installed-sdk
	GATEWAY_LONG=1 $(PYTEST) $(ARGS)

check: .venv/.installed-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/.installed-bench
	$(BIN)/python -m bench $(ARGS)

bench-full: .venv/.installed-bench
	$(BIN)/python -m bench $(ARGS) --full

clean:
	rm -rf .venv tests/sdk/node/node_modules bench/.build bench/peers/node/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp for each set of packages, so that a second run is instant.
# Compiled at once where it is to run for long: compiling at the start leaves 10 MB behind.
.venv/.installed: extras :=
.venv/.installed .venv/.installed-where .venv/.installed-bench: compile := --compile-bytecode
.venv/.installed-where: extras := [where]
.venv/.installed-test: extras := [test]
.venv/.installed-check: extras := [check]
.venv/.installed-bench: extras := [bench]

.venv/.installed .venv/.installed-where .venv/.installed-test .venv/.installed-check .venv/.installed-bench: pyproject.toml $(NATIVE) | $(BIN)/python
	@echo "Installing the gateway$(extras) into .venv ..." >&2
	@if command -v uv >/dev/null 2>&1; then \
		uv pip install --quiet $(compile) --python $(BIN)/python -e '.$(extras)'; \
	else \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.$(extras)'; \
	fi
	@touch $@

# Stream's SDKs for the tests, with Node and a browser if there are none. What cannot be had is
# told by the tests that are skipped for it, and tried again next time.
.venv/.installed-sdk: tests/sdk/install.py tests/sdk/node/package-lock.json | .venv/.installed-test
	@echo "Installing Stream's SDKs for the tests ..." >&2
	@if $(BIN)/python $<; then touch $@; fi

# Candidates are asked, not only looked up: a name on PATH may be a shim without an interpreter.
# With uv there is no need for pip in .venv, nor for the package that Debian has it in.
$(BIN)/python:
	@python=; for candidate in $(PYTHONS); do \
		if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			python=$$candidate; break; \
		fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "The gateway needs Python 3.11 or newer, and none of these is: $(PYTHONS)." >&2; \
		echo "Install one, or name yours: make PYTHON=/path/to/python3" >&2; \
		exit 1; \
	fi; \
	if command -v uv >/dev/null 2>&1; then pip=--without-pip; else pip=; fi; \
	if ! $$python -m venv --clear $$pip .venv >/dev/null 2>&1; then \
		rm -rf .venv; \
		version=$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
		echo "$$python cannot make a virtual environment. On Debian and Ubuntu:" >&2; \
		echo "    apt install python$$version-venv     (or: python3-venv)" >&2; \
		exit 1; \
	fi
