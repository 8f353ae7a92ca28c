# Everything a person or CI does here. Only Python 3.11 and make have to be there: the rest goes into .venv.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input
ARGS ?=

.PHONY: help run prometheus rules dashboards reference docs test matrix lint bench release

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1@/p' Makefile | while IFS=@ read -r name text; do printf '%-16s %s\n' "$$name" "$$text"; done

run: $(VENV)/run.stamp ## Start the site, its workers and some traffic (PORT=8001 and TRAFFIC=0 change it)
	@exec $(BIN)/python -m project.run

prometheus: $(VENV)/run.stamp ## Start Prometheus and Alertmanager beside the running site (PORT as for make run)
	@exec $(BIN)/python -m project.prometheus

rules: $(VENV)/dev.stamp ## Write the rules of Prometheus and its operator anew, from prometheus/*.py
	@$(BIN)/python -m prometheus.build

dashboards: $(VENV)/dev.stamp ## Write the dashboards for Grafana anew, from grafana/*.py
	@$(BIN)/python -m grafana.build

reference: $(VENV)/dev.stamp ## Write the tables of docs/metrics.md anew, from observability/metrics.py
	@PYTHONPATH=. DJANGO_SETTINGS_MODULE=django.conf.global_settings $(BIN)/python docs/reference.py

docs: $(VENV)/dev.stamp ## Build docs/ as a site, into build/docs
	@$(BIN)/python -m sphinx -q -W --keep-going -n -b html docs build/docs
	@echo "Built: build/docs/index.html"

test: $(VENV)/dev.stamp ## Run the tests (ARGS="-k name" chooses; REQUIRE_ALL=1: a missing program is a failure)
	@$(BIN)/python -m pytest -n 3 $(ARGS)

matrix: $(VENV)/dev.stamp ## Run them on each pair of Python and Django whose Python is here (ARGS="-l" lists the pairs)
	@$(BIN)/python -m nox $(ARGS)

lint: $(VENV)/dev.stamp ## Check style, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@DEBUG=1 $(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(VENV)/dev.stamp ## Measure the app beside its peers, and write docs/performance.md (ARGS="scrape": one part, not written)
	@$(BIN)/python -m benchmarks $(ARGS)

release: $(VENV)/dev.stamp ## Build what is uploaded into dist/, check it, and list all that it brings in build/sbom.json
	@rm -rf dist build/release
	@$(BIN)/python -m build --no-isolation
	@$(BIN)/python -m twine check --strict dist/*
	@$(BIN)/uv venv -q --python $(BIN)/python build/release
	@$(BIN)/uv pip install -q --python build/release "$$(echo dist/*.whl)[all]"
	@$(BIN)/uv tool run -q --from cyclonedx-bom==7.5.0 cyclonedx-py environment --output-reproducible -o build/sbom.json build/release/bin/python

$(VENV)/run.stamp: requirements.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not here: install Python 3.11, or name another with PYTHON=."; exit 1; }
	@echo "Installing into $(VENV); the first time takes a minute."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) -r requirements.txt
	@touch $@

$(VENV)/dev.stamp: requirements-dev.txt $(VENV)/run.stamp
	@echo "Installing what the tests need into $(VENV); the first time takes two minutes."
	@$(PIP) -r requirements-dev.txt
	@touch $@
