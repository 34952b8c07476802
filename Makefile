# make demo   distil, evaluate and write a report: a few minutes
# make check  lint, types, architecture and the fast tests: before every commit
# make test   everything that continuous integration runs
#
# PYTHON selects another interpreter: make demo PYTHON=python3.12

PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
# Two processes of one thread each: small networks gain more from whole tests in parallel than from shared layers.
# Bytecode is kept even where the environment says no: tests start many processes.
PYTEST  := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist worksteal
# Modules of nothing but slow tests: make check need not even import them.
SLOW     = $(shell grep --recursive --files-with-matches --extended-regexp '^pytestmark = pytest.mark.(slow|browser)' tests)

.PHONY: help demo check test lint fast unit package wheel sbom lowest docs linkcheck browser bench constraints clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    distil the digits to ten images, evaluate them, write a report"
	@echo "make check   lint, types, architecture and the fast tests: about two minutes"
	@echo "make test    the same with every test, the built wheel and the site: some minutes"
	@echo "make docs    the site in build/site, with its notebooks executed: about a minute"
	@echo "make sbom    wheel and source distribution in dist, built twice alike, and their bill of materials"
	@echo "make lowest  the fast tests with the lowest versions that pyproject.toml allows; TESTS names some of them"
	@echo "make linkcheck  ask the network whether the links to other sites still lead somewhere"
	@echo "make bench   speed compared with the plain twins, and with the least that the work could take"
	@echo "make constraints  pin the versions anew; UPGRADE=--upgrade takes the newest"
	@echo "make clean   remove build products and caches; keep .venv and runs"

demo: $(VENV)/.installed
	rm -rf runs/demo
	$(BIN)/potstill distill dm --dataset digits --ipc 1 --network convnet:depth=2 --iterations 300 --batch-real 96 --out runs/demo
	$(BIN)/potstill evaluate runs/demo --recipe quick --repeats 5 --baselines random --exchange
	$(BIN)/potstill evaluate runs/demo --recipe dc-1000 --repeats 5 --full-epochs 50
	$(BIN)/potstill report runs/demo

check: lint fast

# The site is built beside lint and the wheel; the tests then read what was built.
test:
	$(MAKE) --jobs 1 $(VENV)/.installed-for-tests $(VENV)/.installed-for-docs
	$(MAKE) --jobs 2 --output-sync docs wheel lint
	$(MAKE) unit

# The types of what builds the site are checked, too.
lint: $(VENV)/.installed-for-tests $(VENV)/.installed-for-docs
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports

fast: $(VENV)/.installed-for-tests
	$(PYTEST) -m "not slow and not browser" $(SLOW:%=--ignore=%)

unit: $(VENV)/.installed-for-tests browser
	$(PYTEST)

package: $(VENV)/.installed-for-tests
	.ci/build-package $(BIN)/python dist

wheel: package
	.ci/try-wheel $(BIN)/python dist/*.whl

sbom: package
	$(BIN)/python -m releasing.sbom dist/*.whl

# Not part of make test: it installs everything a second time, and runs the fast tests once more.
lowest:
	.ci/make-lowest $(PYTHON) build/lowest
	OMP_NUM_THREADS=1 build/lowest/bin/pytest --numprocesses 2 --dist worksteal -m "not slow and not browser" \
	    $(SLOW:%=--ignore=%) --deselect tests/test_pinned_versions.py::test_what_is_installed_is_what_is_pinned $(TESTS)

docs: $(VENV)/.installed-for-docs
	.ci/build-site $(BIN)/python

# Not part of make test: what other sites do is not up to a change here.
linkcheck: $(VENV)/.installed-for-docs
	$(BIN)/python -m sphinx --builder linkcheck --conf-dir docs -D nb_execution_mode=off . build/linkcheck

browser:
	@.ci/install-browser

bench: $(VENV)/.installed-for-tests
	$(BIN)/python -m benchmarks

constraints:
	@.ci/pin $(UPGRADE)

clean:
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks releasing docs -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed: pyproject.toml constraints.txt constraints-torch.txt
	@.ci/make-venv $(PYTHON) $(VENV)
	.ci/install $(BIN)/python --editable .
	@touch $@

$(VENV)/.installed-for-tests: $(VENV)/.installed constraints-tests.txt
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes --requirement constraints-tests.txt
	@touch $@

$(VENV)/.installed-for-docs: $(VENV)/.installed constraints-docs.txt
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes --requirement constraints-docs.txt
	@touch $@
