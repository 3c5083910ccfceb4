# One environment for everything: `make demo` and `make test` work on a fresh machine with Python 3.11 or 3.12.
PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
export UV_COMPILE_BYTECODE = 1
export MLFLOW_DISABLE_TELEMETRY = true
export DO_NOT_TRACK = true
BIN := .venv/bin

.PHONY: setup demo test check format bench clean

setup: .venv/.synced

.uv/bin/uv:
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet uv

.venv/.synced: pyproject.toml uv.lock $(filter .uv/bin/uv,$(UV))
	$(UV) sync --quiet --locked --all-extras --python $(PYTHON)
	touch $@

demo: setup
	$(BIN)/journey demo $(ARGS)

test: setup
	$(BIN)/python -m pytest $(if $(ARGS),$(ARGS),-n 4 --dist loadfile)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python -m benchmarks $(ARGS)

clean:
	rm -rf .venv .uv .peers .mypy_cache .ruff_cache .pytest_cache .hypothesis
