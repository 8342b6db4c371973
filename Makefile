# Everything is built from these files; a target does the set-up it needs by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Tests start the program hundreds of times: it is compiled once, whatever the environment says.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup demo test proof soak rehearsal replay-proof check bench coverage format schemas dashboards settings-table lock image release clean

setup: $(READY)

$(READY): requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: $(READY)
	$(BIN)/pql-stream demo

# What the program does: all but the further cases of what is shown already, which are in make proof. What is shipped with
# it, and the wheel, is in make check.
test: $(READY)
	$(BIN)/python -m pytest tests -n 6 --dist loadfile --no-loadscope-reorder -m "not proof" --ignore tests/deploy --ignore tests/release

proof: $(READY)
	$(BIN)/python -m pytest tests -n 4 --dist loadfile --no-loadscope-reorder -m proof

# Seeded fault runs on a real Apache Kafka: make soak N=200, or one seed again: make soak SEED=17.
N ?= 200
JOBS ?= 2
SOAK := $(if $(SEED),--seed $(SEED),--runs $(N) --first $(or $(FIRST),1)) --jobs $(JOBS) $(if $(GUARANTEE),--guarantee $(GUARANTEE))
soak: $(READY)
	PYTHONPATH=.:tests/system $(BIN)/python -m tests.soak $(SOAK)

# Workers come and go on a real Apache Kafka as Kubernetes has them: make rehearsal ARGS="--help" tells what else there is.
rehearsal: $(READY)
	PYTHONPATH=.:tests/system $(BIN)/python -m tests.rehearsal $(ARGS)

# The same events by stream, by replay of the topic and of a file, with fakes of the destinations beside them.
EVENTS ?= 1000000
replay-proof: $(READY)
	PYTHONPATH=.:tests/system $(BIN)/python -m tests.replay_proof --events $(EVENTS) --seed $(or $(SEED),1)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -n 2 --dist loadfile tests/deploy tests/release
	$(BIN)/yamllint --strict --config-file deploy/yamllint.yaml docker-compose.yml deploy topics schemas
	$(BIN)/hadolint deploy/container/Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(BIN)/python -m tests.deploy.manifests

# About twenty minutes; make bench ARGS="--help" tells what else there is.
bench: $(READY)
	$(BIN)/python -m tests.bench.run_bench $(ARGS)

# Every branch of the core, of the wire and of delivery; the system tests run in processes that are not measured.
coverage: $(READY)
	$(BIN)/python -m pytest -q -n 2 tests/unit tests/replay tests/contract --cov=pql_stream.core --cov=pql_stream.wire --cov=pql_stream.delivery --cov-branch --cov-report=term-missing:skip-covered --cov-fail-under=100

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What tests/contract holds against the models and the topics.
schemas: $(READY)
	$(BIN)/python -m pql_stream.wire.schemas schemas
	$(BIN)/python -m pql_stream.ops.asyncapi schemas

# What tests/deploy holds against their source.
dashboards: $(READY)
	$(BIN)/python -m deploy.grafana.source

# What tests/unit/ops_settings holds against the model.
settings-table: $(READY)
	$(BIN)/python -m pql_stream.ops.settings_table README.md

# The pinned sets, with hashes and without addresses: what runs, what we work with, and what builds the image's wheel.
# What is pinned stays as long as it fits; make lock UPGRADE=--upgrade takes the newest that do.
LOCKED ?= .
LOCK := $(BIN)/uv pip compile --quiet --no-header --no-annotate --no-emit-index-url --generate-hashes --python-version 3.11 $(UPGRADE)
lock: $(READY)
	$(LOCK) pyproject.toml --output-file $(LOCKED)/requirements.txt
	$(LOCK) pyproject.toml --extra dev --output-file $(LOCKED)/requirements-dev.txt
	echo "hatchling==$$($(BIN)/python -c 'import hatchling.__about__ as a; print(a.__version__)')" | $(LOCK) - --constraint $(LOCKED)/requirements-dev.txt --output-file $(LOCKED)/requirements-build.txt

image:
	docker build --file deploy/container/Dockerfile --tag pql-stream:local .

# dist/ with sdist, wheel, bill of materials and checksums; README.md, "Release", has the steps before it.
release: $(READY)
	PYTHONPATH=. $(BIN)/python deploy/release.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
