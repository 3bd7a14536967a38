# make repro   run the whole pipeline and write reports/
# make fuzz    every reader of files against made-up and damaged ones: FUZZ of them each (make fuzz FUZZ=20000)
# make test    lint, types, layers, unit tests, and the smoke pipeline in a temporary clone
# make bench   time and memory against plain implementations, into reports/benchmarks.md; wants a quiet machine
#
# make kills   kill a training on two processes 20 times, stop one process of another, and compare what they leave (minutes)
# make rehearsal   profile paper with its networks in small, on two processes of this CPU (minutes)
# make study   eight settings of tokenizer S-S tried, about ten minutes on one core, into reports/studies/
# make study-test   one trial of a study for real, and a guidance study on its models (half a minute)
# make experiment-test   'dvc exp run' in place, in a copy and from the queue, with a training of smoke (minutes)
# make crash-points   kill a short training before each of its operations on files, and train again (minutes)
#
# Variables:
#   PYTHON       interpreter that .venv is made with (3.11 or newer)    make repro PYTHON=python3.12
#   TORCH_INDEX  index with the PyTorch wheels to use, e.g. CPU-only ones, a tenth of the size:
#                make repro TORCH_INDEX=https://download.pytorch.org/whl/cpu
#   JOBS         stages that run at one time (default: as many as the machine carries)
#   FUZZ         files that 'make fuzz' tries on each reader (default: 5000; 'make test' tries 200)

PYTHON ?= python3
TORCH_INDEX ?=
JOBS ?= 0
FUZZ ?= 5000

BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: help setup repro test types tests crash-points kills rehearsal study study-test experiment-test bench clean-venv fuzz

help:
	@sed -n 's/^# \{0,1\}//p' Makefile

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is missing or older than 3.11: run 'make PYTHON=python3.12' with one that is not" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
	  echo "$(PYTHON) cannot make virtual environments: install its venv module (Debian: python3-venv)" >&2; exit 1; }
	@echo "Installing into .venv (several minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --editable '.[dev]' \
	  --constraint constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
	@$(BIN)/python -m compileall -qq -j 0 .venv/lib || true  # on all cores; files for newer Pythons fail
	@touch $@

repro: setup
	@$(BIN)/gigatok-bench repro --jobs $(JOBS)

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory --jobs 2 types tests

types: setup
	$(BIN)/mypy

tests: setup
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

crash-points: setup
	GIGATOK_CRASH_POINTS=all OMP_NUM_THREADS=1 $(BIN)/pytest tests/training/test_crash_points.py

bench: setup
	$(BIN)/python benchmarks/run.py

fuzz: setup
	GIGATOK_FUZZ_EXAMPLES=$(FUZZ) OMP_NUM_THREADS=1 $(BIN)/pytest tests/fuzz -n 2

study-test: setup
	GIGATOK_STUDIES=1 OMP_NUM_THREADS=1 $(BIN)/pytest tests/pipeline/tuning/test_real_trial.py

experiment-test: setup
	GIGATOK_EXPERIMENTS=1 OMP_NUM_THREADS=1 $(BIN)/pytest tests/docs/test_dvc_page.py tests/test_pipeline.py

study: setup
	@OMP_NUM_THREADS=1 $(BIN)/gigatok-bench tune tokenizer S-S --trials 8 --minutes 9

kills: setup
	GIGATOK_KILLS=20 OMP_NUM_THREADS=1 $(BIN)/pytest tests/training/distributed/test_stages.py -k "killed or hangs or refuses"

rehearsal: setup
	GIGATOK_REHEARSAL=1 OMP_NUM_THREADS=1 $(BIN)/pytest tests/test_rehearsal.py

clean-venv:
	rm -rf .venv
