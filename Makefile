# Everything is built from these files; a target does the set-up it needs by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup demo test proof soak check bench coverage format schemas settings-table lock clean

setup: $(READY)

$(READY): requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: $(READY)
	$(BIN)/pql-stream demo

# All but the further cases of what is shown already; those are in make proof.
test: $(READY)
	$(BIN)/python -m pytest tests -n 2 --dist loadfile -m "not proof"

proof: $(READY)
	$(BIN)/python -m pytest tests -n 2 --dist loadfile -m proof

# Seeded fault runs on a real Apache Kafka: make soak N=200, or one seed again: make soak SEED=17.
N ?= 200
JOBS ?= 2
SOAK := $(if $(SEED),--seed $(SEED),--runs $(N) --first $(or $(FIRST),1)) --jobs $(JOBS) $(if $(GUARANTEE),--guarantee $(GUARANTEE))
soak: $(READY)
	PYTHONPATH=.:tests/system $(BIN)/python -m tests.soak $(SOAK)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# About a quarter of an hour; make bench ARGS="--help" tells what else there is.
bench: $(READY)
	$(BIN)/python -m tests.bench.run_bench $(ARGS)

# Every branch of the core, of the wire and of delivery; the system tests run in processes that are not measured.
coverage: $(READY)
	$(BIN)/python -m pytest -q -n 2 tests/unit tests/replay tests/contract --cov=pql_stream.core --cov=pql_stream.wire --cov=pql_stream.delivery --cov-branch --cov-report=term-missing:skip-covered --cov-fail-under=100

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What tests/contract holds against the models.
schemas: $(READY)
	$(BIN)/python -m pql_stream.wire.schemas schemas

# What tests/unit/ops_settings holds against the model.
settings-table: $(READY)
	$(BIN)/python -m pql_stream.ops.settings_table README.md

# The pinned sets, with hashes and without addresses.
lock: $(READY)
	$(BIN)/uv pip compile pyproject.toml --quiet --no-header --no-annotate --no-emit-index-url --generate-hashes --python-version 3.11 --output-file requirements.txt
	$(BIN)/uv pip compile pyproject.toml --quiet --no-header --no-annotate --no-emit-index-url --extra dev --generate-hashes --python-version 3.11 --output-file requirements-dev.txt

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
