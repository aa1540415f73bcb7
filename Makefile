# Every target makes .venv by itself from a bare Python >= 3.11.
PYTHON ?= python3
CORES ?= 2
CONFIG ?= config/config.yaml

BIN := .venv/bin
READY := .venv/.ready
export OMP_NUM_THREADS := 1

# A killed run leaves Snakemake's own lock behind. The kernel's lock is released with the last process of a run:
# who gets it may remove a stale one. Without flock (macOS) Snakemake itself says how to unlock.
LOCKED := $(if $(shell command -v flock),flock --nonblock --conflict-exit-code 75 .venv/run.lock)
SNAKEMAKE := $(LOCKED) $(BIN)/snakemake --cores $(CORES) --rerun-incomplete
REFUSED = || { status=$$?; if [ $$status -eq 75 ]; then \
	echo "expected no other run in this folder; got one. Wait for it to end, or stop it" >&2; fi; exit $$status; }

.DEFAULT_GOAL := help
.PHONY: help demo test test-slurm slurm-packages lint check verify unlock

help:  ## Show these lines
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1	/' | expand -t 20

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "expected Python >= 3.11; got $$($(PYTHON) --version 2>&1). Write: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable '.[dev]'
	touch $(READY)

unlock: $(READY)
	@if [ -n "$(LOCKED)" ] && ls .snakemake/locks/* >/dev/null 2>&1; then \
		$(LOCKED) $(BIN)/snakemake --unlock >/dev/null 2>&1 $(REFUSED); fi

demo: unlock  ## Run all studies of config/config.yaml, from simulation to results/report.html
	@$(SNAKEMAKE) all $(REFUSED)
	@$(SNAKEMAKE) --report results/report.html all $(REFUSED)
	@$(BIN)/python workflow_scripts/summary.py

test: $(READY)  ## Run all tests
	$(BIN)/pytest --numprocesses=$(CORES) --dist=loadfile --no-loadscope-reorder

test-slurm: slurm-packages  ## Run the workflow on a real Slurm that is started for it: as root on Debian
	$(BIN)/pytest tests/slurm

# The only target that installs packages of the system, and only where a cluster can then be started.
slurm-packages: $(READY)
	@$(BIN)/python -m tests.slurm.cluster
	@$(BIN)/python -m tests.slurm.cluster installed || { apt-get update && \
		DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends slurm-wlm munge; }

lint: $(READY)  ## Check style of code and workflow
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

check: $(READY)  ## Check a settings file in a second: make check CONFIG=config/systems/x.yaml
	@$(BIN)/python -m dig_core.config $(CONFIG)

verify: unlock  ## Run a study in full and hold it against tests/expected: make verify STUDY=alanine_dipeptide
	@test -n "$(STUDY)" || { echo "expected a study; got none. Write: make verify STUDY=alanine_dipeptide" >&2; exit 1; }
	@$(SNAKEMAKE) --config 'studies=[$(STUDY)]' 'figures={figure_2a: []}' -- $(STUDY) $(REFUSED)
	@$(BIN)/python workflow_scripts/verify.py $(STUDY)
