# The two commands of the README are `make demo` and `make test`; `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

UV_VERSION := 0.13.8
UV := build/tools/bin/uv
PY := .venv/bin/python
# The sandbox makes network interfaces, mounts and containers: it needs root.
ROOT := $(if $(filter-out 0,$(shell id -u)),sudo --preserve-env env "PATH=$$PATH",)
CODE := operator/projection_operator projector/projector sandbox tests examples
export UV_PYTHON_DOWNLOADS := never
export UV_NO_PROGRESS := 1

.PHONY: help
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(UV):
	@echo "setup: installing uv $(UV_VERSION) into build/tools"
	@python3 -c 'import ensurepip' 2>/dev/null || { $(ROOT) apt-get update -q && $(ROOT) apt-get install -qy python3-venv; }
	@python3 -m venv build/tools
	@build/tools/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.PHONY: setup
setup: $(UV) ## create .venv from the lock file
	@$(UV) sync --quiet --frozen --all-extras --python python3
	@mkdir -p build/reports

.PHONY: demo
demo: setup ## start a real cluster and show the main job end to end
	$(ROOT) $(PY) -m examples.demo

.PHONY: test
test: lint test-unit test-contract test-cluster test-e2e test-faults ## all that CI runs

.PHONY: test-unit
test-unit: setup ## pure parts and property tests; needs nothing
	$(PY) -m pytest tests/unit

.PHONY: test-contract
test-contract: setup ## adapters against a real Kafka and a real PostgreSQL
	$(ROOT) $(PY) -m pytest tests/sandbox tests/contract

.PHONY: test-cluster
test-cluster: setup ## the operator against a real API server
	$(ROOT) $(PY) -m pytest tests/cluster

.PHONY: test-e2e
test-e2e: setup ## everything on a real node
	$(ROOT) $(PY) -m pytest tests/e2e

.PHONY: test-faults
test-faults: setup ## kills, stops and restarts; writes build/reports/faults.json
	$(ROOT) $(PY) -m pytest tests/faults

.PHONY: test-full
test-full: export HYPOTHESIS_PROFILE := full
test-full: test ## the same with many more random examples; before a release

# The distribution's Python, as the images have it: one built without optimisations takes a fifth longer for everything.
.PHONY: setup-bench
setup-bench: setup
	@UV_PROJECT_ENVIRONMENT=build/bench $(UV) sync --quiet --frozen --all-extras \
		--python $$(test -x /usr/bin/python3 && echo /usr/bin/python3 || echo python3)

.PHONY: bench
bench: setup-bench ## the engine beside its limits; ARGS="--uniform-events 20000000", see docs/benchmarks.md
	$(ROOT) build/bench/bin/python -m tests.bench run $(ARGS)

.PHONY: bench-curves
bench-curves: setup-bench ## how its cost grows with columns, events per key and events
	$(ROOT) build/bench/bin/python -m tests.bench curves $(ARGS)

.PHONY: bench-docs
bench-docs: setup ## write the figures and charts of docs/benchmarks.md from the last runs
	$(PY) -m tests.bench docs

.PHONY: lint
lint: setup ## format, lint, types, layers, lock file, chart
	$(UV) lock --check --quiet
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy $(CODE)
	.venv/bin/lint-imports --no-logo

.PHONY: format
format: setup ## format the code
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

.PHONY: crds
crds: setup ## write the CRDs from the models, for kubectl and for the chart, and docs/edges.md
	for kind in projections projectionrebuilds; do \
		.venv/bin/projection-operator crd $$kind > crds/$$kind.projections.dev.yaml; \
		cp crds/$$kind.projections.dev.yaml helm/projection-operator/files/; \
	done
	$(PY) -m projection_operator.edge_docs > docs/edges.md

.PHONY: wheels
wheels: setup ## fetch what `docker build -f operator/Dockerfile .` and its twin copy: see the Dockerfiles
	rm -rf build/wheels build/dist
	$(UV) export --quiet --frozen --no-dev --no-emit-project --extra avro --extra protobuf -o build/projector.txt
	$(UV) export --quiet --frozen --no-dev --no-emit-project --extra operator -o build/operator.txt
	for part in projector operator; do \
		build/tools/bin/python -m pip download --quiet --disable-pip-version-check --require-hashes --no-deps \
			--only-binary=:all: --python-version 3.11 -r build/$$part.txt -d build/wheels/$$part; \
	done
	$(UV) build --quiet --wheel -o build/dist

.PHONY: sandbox
sandbox: setup ## start the local cluster and leave it running
	$(ROOT) $(PY) -m sandbox up

.PHONY: clean
clean: setup ## stop and remove all that the others started
	$(ROOT) $(PY) -m sandbox clean
	rm -rf build/reports dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
