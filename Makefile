# Two commands do all the set-up: `make demo` and `make test`. Each stands in the README as one plain line, too.
PYTHON ?= python3
SERVE ?= 1
PORT ?= 7860
BIN := .venv/bin
export REELPROOF_HOME ?= $(CURDIR)/.reelproof

.PHONY: demo test prove check bench install
.DEFAULT_GOAL := test

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[numba,onnx,transformers,dev]'
	@touch $@

demo: install
	$(BIN)/reelproof demo --port $(PORT) $(if $(filter 0,$(SERVE)),--no-serve,--serve)

test: install
	@.ci/chromium
	$(BIN)/python -m pytest -n 2 --dist loadfile -rs

prove: install
	@.ci/chromium
	$(BIN)/python -m pytest -n 2 --dist loadfile -rs -m prove

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install
	for file in $$(grep -l __main__ benchmarks/*.py); do $(BIN)/python -m benchmarks.$$(basename $$file .py) || exit 1; done
