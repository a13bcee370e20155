# `make` runs the demo cohorts to results/report.html; `make help` lists the rest.
# Everything runs in .venv, made from requirements.lock with Python 3.11, 3.12 or 3.13.
# Another interpreter: make PYTHON=/path/to/python3.12. More cores: make CORES=8.

CORES ?= 2
CONFIG ?= config/config.yaml
CYTOSTRAT_DATA ?= $(abspath ../shared/data)
export CYTOSTRAT_DATA
BIN := .venv/bin
READY := .venv/.ready
TOOLS := .venv-tools/bin
TOOLS_READY := .venv-tools/.ready
SNAKEMAKE := $(BIN)/snakemake --profile workflow/profiles/laptop --cores $(CORES)

.DEFAULT_GOAL := report
.PHONY: report real test test-oracles test-browser test-slurm test-kill test-hostile fuzz lint \
  format bench calibrate docs clean help

report: $(READY)  ## Run the demo cohorts (or CONFIG=...) and say where the report is
	@test -f "$(CONFIG)" || { echo "make: CONFIG=$(CONFIG) is no file here; name the configuration of a run, such as config/config.yaml" >&2; exit 1; }
	@$(SNAKEMAKE) --configfile "$(CONFIG)"

real: $(READY)  ## Run the real tumours of CYTOSTRAT_DATA to results/real/report.html
	@$(MAKE) --no-print-directory report CONFIG=tests/workflow/real/config.yaml

test: $(READY)  ## Run the tests: Python only, below 15 minutes on 2 cores
	$(BIN)/python -m pytest -n $(CORES) --dist loadfile --no-loadscope-reorder

test-oracles: $(READY)  ## Run the R programs behind the expected values again (installs R on Debian)
	$(BIN)/python tests/oracles/remake.py

test-browser: $(TOOLS_READY)  ## Test reports in a real browser (Debian's chromium, or CHROMIUM=...)
	@command -v "$${CHROMIUM:-chromium}" >/dev/null || \
	  { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu; }
	$(TOOLS)/python -m pytest tests/browser

test-slurm: $(READY)  ## Run on a throwaway one-node SLURM (root, Debian) and compare the bytes
	$(BIN)/python -m pytest tests/slurm

test-kill: $(READY)  ## Kill runs at random moments, fill and lock disks; at most 20 minutes
	$(BIN)/python -m pytest tests/kill
	$(BIN)/python tests/kill/kill.py

test-hostile: $(READY)  ## Feed every reader broken files and print what became of each kind
	$(BIN)/python -m tests.hostile

fuzz: $(READY)  ## Fuzz the text readers for two minutes
	$(BIN)/python -m tests.fuzz --seconds 120

lint: $(READY)  ## Check style of code and workflow
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/python tests/lint_workflow.py

format: $(READY)  ## Rewrite code and workflow in the house style
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow/rules

bench: $(TOOLS_READY)  ## Compare speed and memory of scoring with its peers, in one run
	$(TOOLS)/python -m pip install -qq --disable-pip-version-check -e '.[bench]'
	$(TOOLS)/python tests/benchmarks/bench.py

calibrate: $(READY)  ## Measure error rates and coverage on null cohorts, write docs/calibration.md
	PYTHONPATH=workflow $(BIN)/python tests/benchmarks/calibrate.py --write docs/calibration.md

docs: $(READY)  ## Write the generated parts of config/README.md
	$(BIN)/python -m tests.manual

clean:  ## Remove the environment and everything that was computed
	rm -rf .venv .venv-tools .snakemake
	find results -mindepth 1 ! -name README.md -delete

help:  ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

# A candidate must be 3.11-3.13 and bring venv with pip (Debian splits it into python3-venv).
$(READY): requirements.lock pyproject.toml
	@for python in $(if $(PYTHON),"$(PYTHON)",python3.12 python3.13 python3.11 python3); do \
	  if "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then \
	    found=$$python; \
	    if "$$python" -c 'import venv, ensurepip' 2>/dev/null; then chosen=$$python; break; fi; \
	  fi; \
	done; \
	if [ -z "$$chosen" ]; then \
	  if [ -n "$$found" ]; then \
	    echo "make: $$found has no venv module; install it (Debian: apt install python3-venv) or name another interpreter: make PYTHON=/path/to/python3.12" >&2; \
	  else \
	    echo "make: no Python 3.11, 3.12 or 3.13 found$(if $(PYTHON), at $(PYTHON),); install one or name it: make PYTHON=/path/to/python3.12" >&2; \
	  fi; \
	  exit 1; \
	fi; \
	echo "Setting up .venv with $$chosen (one or two minutes, once)"; \
	"$$chosen" -m venv --clear .venv && \
	$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock && \
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e . && \
	touch $@

# What a browser test needs comes on top, apart from the run's environment. The bench adds its
# peers unlocked: one of them asks for an extra of a locked package, which pip refuses with hashes.
$(TOOLS_READY): $(READY) requirements-tools.lock
	@echo "Setting up .venv-tools (one or two minutes, once)"
	@$(BIN)/python -m venv --clear .venv-tools
	@$(TOOLS)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements-tools.lock
	@$(TOOLS)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
