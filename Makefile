# Everything sets itself up in .venv; PYTHON is any Python from 3.11 on.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo demo-zh examples test test-fast check format-check lint types fix docs bench clean

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt tools/install.py hatch_build.py $(wildcard src/weitiao/models/fast/kernels.*)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python tools/install.py
	touch $@

demo: setup  ## spam or not: SmolLM2, untuned and tuned, with intervals
	$(BIN)/python examples/spam/demo.py

demo-zh: setup  ## instructions in Chinese and English
	$(BIN)/python examples/instructions/demo.py

examples: setup  ## every example project, whole; hours on a laptop
	for each in spam compare instructions entities objectives pretrain-zh; do $(BIN)/python examples/$$each/demo.py || exit 1; done

test: setup  ## every test, those on real models and data too
	$(BIN)/python -m pytest

test-fast: setup  ## about two minutes
	$(BIN)/python -m pytest -m "not slow"

check: setup format-check lint types test  ## what CI runs

format-check: setup
	$(BIN)/ruff format --check src tests tools examples benchmarks hatch_build.py

lint: setup
	$(BIN)/ruff check src tests tools examples benchmarks hatch_build.py

types: setup
	$(BIN)/mypy

fix: setup
	$(BIN)/ruff check --fix src tests tools examples benchmarks hatch_build.py
	$(BIN)/ruff format src tests tools examples benchmarks hatch_build.py

docs: setup  ## the generated reference pages
	$(BIN)/python -m weitiao.settings docs/reference
	$(BIN)/python -m weitiao.cli.reference docs/reference
	$(BIN)/python tests/documents.py

bench: setup  ## speed, memory and loss beside other tuners, each in its own environment under .bench; some hours
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.page

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache
