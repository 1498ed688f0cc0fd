# Two commands on a fresh machine: `make demo` and `make test`. Both build .venv once and reuse it.
PYTHON ?= python3
PY := .venv/bin/python
# idle torch threads sleep instead of spinning: on a busy two-core machine that is the difference between 1x and 3x
export OMP_WAIT_POLICY = PASSIVE
.DEFAULT_GOAL := help
.PHONY: help demo test quick check bench table docs clean

help:            ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 14

.venv/.installed: pyproject.toml constraints.txt
	test -x $(PY) || $(PYTHON) -m venv .venv
	# a range alone would fetch a different torch build, so the pin goes first
	$(PY) -m pip install -q -c constraints.txt torch
	$(PY) -m pip install -q -c constraints.txt -e ".[test,dev]"
	touch $@

demo: .venv/.installed  ## train networks on digits, graphs and molecules; write demo/report.html
	.venv/bin/catlearn demo

test: .venv/.installed  ## the whole suite (under 40 minutes)
	$(PY) -m pytest -n 2

quick: .venv/.installed ## the suite without its slow cases (under 10 minutes)
	$(PY) -m pytest -n 2 -m "not slow"

check: .venv/.installed ## style, types, layering, sizes
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/pyright
	.venv/bin/lint-imports
	$(PY) tests/sizes.py

bench: .venv/.installed ## speed against named peers, as ratios
	$(PY) -m pytest benchmarks -p no:xdist -o addopts= -s

table: .venv/.installed ## measure every adapter method again, docs/adapters-methods.md (a quarter of an hour)
	.venv/bin/catlearn adapters -o docs/adapters-methods.md --measure

clean:           ## remove what the other targets made
	rm -rf .venv demo .pytest_cache .ruff_cache build *.egg-info
