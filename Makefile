# make demo   distil, evaluate and look at the page: a few minutes
# make test   everything that continuous integration checks
#
# PYTHON names another interpreter: make demo PYTHON=python3.12

PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help demo test lint unit wheel browser bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    distil ten digits, measure what they are worth, write a page about it"
	@echo "make test    lint, types, architecture, tests, and the built wheel outside the repository"
	@echo "make bench   speed and memory against the plain twins"
	@echo "make clean   remove what was built, but not .venv and runs"

demo: $(VENV)/.installed
	rm -rf runs/demo
	$(BIN)/potstill distill dm --dataset digits --ipc 1 --iterations 300 --out runs/demo
	$(BIN)/potstill evaluate runs/demo --recipe quick --repeats 5 --full-epochs 100
	$(BIN)/potstill report runs/demo

test: lint unit wheel

lint: $(VENV)/.installed-for-tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports

# Two processes of one thread each: small networks gain more from whole tests in parallel than from shared layers.
unit: $(VENV)/.installed-for-tests browser
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist worksteal

wheel: $(VENV)/.installed-for-tests
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	.ci/try-wheel $(BIN)/python dist/*.whl

browser:
	@.ci/install-browser

bench: $(VENV)/.installed-for-tests
	$(BIN)/python -m benchmarks

clean:
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed: pyproject.toml constraints.txt
	@.ci/make-venv $(PYTHON) $(VENV)
	$(INSTALL) pip
	$(INSTALL) --editable .
	@touch $@

# pyright brings its own Node.js here: a fresh machine has none.
$(VENV)/.installed-for-tests: $(VENV)/.installed
	$(INSTALL) --group test --group quality "pyright[nodejs]"
	@touch $@
