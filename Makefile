# Everything a fresh machine needs: Python 3.11 or later, make, and a package index.
#
#   make demo    make .venv, install, and run the demonstration on bundled data
#   make test    the same environment, all tests, on all cores
#   make lint    the quick checks: ruff, import contract (what pre-commit runs)
#   make check   the quick checks, types, and the documentation with all its links
#   make docs    the documentation as a site, in site/index.html
#   make measure size and shape of the code, and whether it keeps its limits
#   make fuzz    read generated inputs, valid and damaged, in every format, and changed run folders:
#                N of them (a few minutes; N=10000000 takes hours), from SEED
#   make test-wheel   build a wheel, install it in .venv-wheel, run the README's first example there
#   make bench   the comparisons (about 20 minutes; see benchmarks/)
#
#   make bench-accuracy   every replay method on real streams, and what each costs (hours;
#                         FASHION_MNIST=folder, COVTYPE=, INSECTS=, ELEC2=file)
#
#   make peers            .venv-peers: the project's environment and the libraries it is compared with
#   make bench-peers      the comparisons with those (see benchmarks/peers/)
#   make test-avalanche   the tests of streamreplay.compat.avalanche, which need Avalanche
#   make test-mlflow      the tests of the MLflow sink with MLflow's own server (0.9 GB in .venv-mlflow)

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PEERS ?= .venv-peers
MLFLOW ?= .venv-mlflow
WHEEL ?= .venv-wheel
PYTEST_ARGS ?= --numprocesses auto --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help install demo test test-wheel lint check docs measure format fuzz bench bench-accuracy clean peers-avalanche peers bench-peers test-avalanche mlflow test-mlflow

help:
	@sed -n 's/^#   //p' Makefile

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "streamreplay needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

install: $(VENV)/.installed

demo: install
	$(BIN)/streamreplay demo --out demo-out

test: install
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest $(PYTEST_ARGS)

# The wheel and nothing else, as a user has it: without extras, and outside the checkout.
test-wheel: install
	rm -rf dist
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	$(PYTHON) -m venv --clear $(WHEEL)
	$(WHEEL)/bin/python -m pip install --quiet --constraint constraints.txt dist/*.whl
	$(WHEEL)/bin/python tests/wheel.py

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONPATH=. $(BIN)/lint-imports

check: lint docs
	$(BIN)/mypy

# Strict: a warning, such as a link that leads nowhere, is an error.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

measure: install
	$(BIN)/python benchmarks/measure.py --check

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

N ?= 100000
SEED ?= 0

fuzz: install
	PYTHONPATH=. OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz $(N) --seed $(SEED)

bench: install
	$(BIN)/python benchmarks/run_all.py

bench-accuracy: install
	$(BIN)/python benchmarks/methods.py $(if $(FASHION_MNIST),--fashion-mnist $(FASHION_MNIST))
	$(BIN)/python benchmarks/streams.py $(if $(COVTYPE),--covtype $(COVTYPE)) $(if $(INSECTS),--insects $(INSECTS)) $(if $(ELEC2),--elec2 $(ELEC2))
	$(BIN)/python benchmarks/costs.py
	$(BIN)/python benchmarks/drift.py

# A second environment on top of the first: it sees all of $(VENV), so torch is not installed twice,
# and what only the comparisons need stays out of $(VENV).
$(PEERS)/.avalanche: constraints.txt benchmarks/peers/avalanche.txt benchmarks/peers/avalanche-no-deps.txt | $(VENV)/.installed
	$(PYTHON) -m venv --clear $(PEERS)
	$(PEERS)/bin/python -c 'import pathlib, sys, sysconfig; \
	  below = pathlib.Path(sysconfig.get_path("purelib")); \
	  path = pathlib.Path(sys.argv[1]).resolve() / below.relative_to(sys.prefix); \
	  (below / "project.pth").write_text(f"import site; site.addsitedir({str(path)!r})\n")' $(VENV)
	$(PEERS)/bin/python -m pip install --quiet --constraint constraints.txt --requirement benchmarks/peers/avalanche.txt
	$(PEERS)/bin/python -m pip install --quiet --no-deps --requirement benchmarks/peers/avalanche-no-deps.txt
	@touch $@

$(PEERS)/.all: $(PEERS)/.avalanche benchmarks/peers/others.txt benchmarks/peers/others-no-deps.txt
	$(PEERS)/bin/python -m pip install --quiet --constraint constraints.txt --requirement benchmarks/peers/others.txt
	$(PEERS)/bin/python -m pip install --quiet --no-deps --requirement benchmarks/peers/others-no-deps.txt
	@touch $@

peers-avalanche: install $(PEERS)/.avalanche

peers: install $(PEERS)/.all

bench-peers: peers
	$(PEERS)/bin/python -m benchmarks.peers.run_all

test-avalanche: peers-avalanche
	$(PEERS)/bin/python -m pytest tests/compat $(PYTEST_ARGS)

# MLflow's server asks for other versions of what $(VENV) has: an environment of its own.
$(MLFLOW)/.installed:
	$(PYTHON) -m venv --clear $(MLFLOW)
	$(MLFLOW)/bin/python -m pip install --quiet 'mlflow==3.17.2'
	@touch $@

mlflow: $(MLFLOW)/.installed

test-mlflow: install mlflow
	MLFLOW_SERVER=$(CURDIR)/$(MLFLOW)/bin/mlflow $(BIN)/python -m pytest tests/run/test_sinks.py $(PYTEST_ARGS)

clean:
	rm -rf $(VENV) $(PEERS) $(MLFLOW) $(WHEEL) demo-out site build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
