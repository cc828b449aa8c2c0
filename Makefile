# The two commands of the README, `make run` and `make test`, need python3 (3.11+), pip and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: run test lint format reference docs clean

run: $(VENV)/.installed
	@mkdir -p out
	$(BIN)/dcsim run scenarios/quickstart.yaml --out out/quickstart.h5 --force

test: $(VENV)/.tested
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.linted
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/oxlint --deny-warnings

format: $(VENV)/.linted
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What is made from the models: the tables of the scenario page, and the schema for editors.
reference: $(VENV)/.installed
	$(BIN)/python -m dcsim.scenario.reference docs/scenario-format.md
	$(BIN)/dcsim schema -o docs/scenario.schema.json
	$(BIN)/python -m dcsim.studies.reference docs/studies/*.md
	$(BIN)/dcsim schema --summary -o docs/summary.schema.json

docs: $(VENV)/.documented
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir out/site

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "dcsim needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)

# Sources that are compiled, where a C compiler is at hand, count too.
SOURCES := pyproject.toml constraints.txt setup.py $(shell grep -rlx '. compiled by mypyc' dcsim --include=*.py)

$(VENV)/.installed: $(SOURCES) | $(BIN)/python
	$(PIP) --editable .
	@$(BIN)/dcsim --version
	@touch $@

# `dcsim[...]` is installed by now: its extras are added, and nothing is compiled again.
# PyTorch, which only training needs, first and by its exact version: the pin keeps pip from taking
# the CUDA build.
$(VENV)/.tested: $(VENV)/.installed
	$(PIP) torch==2.13.0
	$(PIP) 'dcsim[test]'
	@touch $@

$(VENV)/.linted: $(VENV)/.tested
	$(PIP) 'dcsim[lint]'
	@touch $@

$(VENV)/.documented: $(VENV)/.installed
	$(PIP) 'dcsim[docs]'
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info out *.so
	find dcsim -name '*.so' -delete
