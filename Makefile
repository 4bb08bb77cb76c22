# make install | test | demo. They need Python 3.11 and nothing else.

PYTHON ?= python3.11
VENV ?= .venv
VENV_ROBOT ?= .venv-robot
PROJECT := pyproject.toml packaging/robot/pyproject.toml packaging/robot/hatch_build.py Makefile
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(VENV)/bin/python -m pip -qq

# Two cores are the reference machine; more threads than cores only wait for each other.
export OMP_NUM_THREADS ?= 2

.PHONY: install test lint demo peers isaac-env test-isaac test-isaacgym clean

install: $(VENV)/.installed $(VENV_ROBOT)/.installed

$(VENV)/.installed: $(PROJECT) constraints.txt
	@command -v $(PYTHON) >/dev/null && $(PYTHON) -c '' 2>/dev/null || { echo "make: Tether needs Python 3.11; install it, or name it: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV)"
	@$(PIP) install -c constraints.txt hatchling editables setuptools  # before what they build, for lack of isolation
	@$(PIP) install -c constraints.txt --no-build-isolation -e packaging/robot -e '.[ros,warp,dev]'
	@touch $@

# The robot distribution on the oldest Python and packages it supports; skipped, with a word, where there is no Python 3.10.
$(VENV_ROBOT)/.installed: $(PROJECT) packaging/robot/constraints-oldest.txt
	@mkdir -p $(VENV_ROBOT); \
	for python in "$$(command -v python3.10)" "$$(pyenv root 2>/dev/null)"/versions/3.10.*/bin/python; do \
	    "$$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 10))' 2>/dev/null && break; python=; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "no Python 3.10 here: the robot distribution will not be tested on its oldest supported versions"; \
	else \
	    echo "installing into $(VENV_ROBOT)" && "$$python" -m venv $(VENV_ROBOT) && \
	    $(VENV_ROBOT)/bin/python -m pip -qq --disable-pip-version-check install -c packaging/robot/constraints-oldest.txt hatchling editables && \
	    $(VENV_ROBOT)/bin/python -m pip -qq --disable-pip-version-check install -c packaging/robot/constraints-oldest.txt --no-build-isolation \
	        -e packaging/robot pytest pytest-timeout hypothesis; \
	fi
	@touch $@

lint: $(VENV)/.installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

test: install lint
	@if [ -x $(VENV_ROBOT)/bin/python ]; then \
	    echo "the robot distribution under $$($(VENV_ROBOT)/bin/python --version):" && $(VENV_ROBOT)/bin/python -m pytest -q --robot-only; \
	else echo "no Python 3.10 here: skipping the robot distribution's tests under it"; fi
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile --ignore=tests/ros2_ws  # by file, so that what a file's tests share is made once
	$(VENV)/bin/python -m pytest tests/ros2_ws  # in real time, so alone

# Around the real Isaac Gym, on a machine that has it; see sim/isaac/workers/isaac_gym/README.md.
test-isaacgym: $(VENV)/.installed
	@test -n "$$TETHER_ISAACGYM_PYTHON" || { echo "make: name the interpreter that has Isaac Gym: TETHER_ISAACGYM_PYTHON=/path/to/python3.8 make test-isaacgym" >&2; exit 2; }
	@"$$TETHER_ISAACGYM_PYTHON" -c 'import isaacgym, torch' >/dev/null || { echo "make: $$TETHER_ISAACGYM_PYTHON does not import isaacgym; see sim/isaac/workers/isaac_gym/README.md" >&2; exit 2; }
	$(VENV)/bin/python -m pytest -m isaac -k 'isaac_gym or isaacgym' tests/sim/isaac
	$(VENV)/bin/python -m pytest -k isaacgym tests/sim/conformance

demo: $(VENV)/.installed
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" docs/demo.sh

# The simulators that ours is measured beside, each in an environment of its own. l2f compiles for minutes and needs g++: the last, so that the
# others are there whatever becomes of it; python -m benchmarks.peers says which are missing. mjlab is for a GPU and not among them (make peers
# PEERS=mjlab): gigabytes, and the one that brings what it depends on, for torch's CUDA packages are the machine's.
VENV_PEERS ?= .venv-peers
PEERS ?= crazyflow rotorpy pyflyt l2f

peers: $(PEERS:%=$(VENV_PEERS)/%/.installed)

$(VENV_PEERS)/%/.installed: benchmarks/peers/requirements-%.txt
	@mkdir -p $(VENV_PEERS)
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	@echo "installing $* into $(@D)"
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(@D)/bin/python -m pip -qq install $(if $(filter mjlab,$*),,--no-deps) -r $<
	@touch $@

# Isaac Lab, in the environment that --sim isaac looks for: Python 3.12 (PYTHON_ISAAC=/path/to/it), 8 GB.
VENV_ISAAC ?= .venv-isaac

isaac-env: $(VENV_ISAAC)/.installed

$(VENV_ISAAC)/.installed: sim/isaac/workers/isaac_lab/requirements.txt
	@for python in "$(PYTHON_ISAAC)" "$$(command -v python3.12)" "$$(pyenv root 2>/dev/null)"/versions/3.12.*/bin/python; do \
	    "$$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' 2>/dev/null && break; python=; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "make: Isaac Lab needs Python 3.12; install it, or name it: make isaac-env PYTHON_ISAAC=/path/to/python3.12" >&2; exit 2; \
	fi; \
	test -x $(@D)/bin/python || "$$python" -m venv $(@D)
	@echo "installing Isaac Lab into $(@D): 8 GB"
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(@D)/bin/python -m pip -qq install -r $<
	@touch $@

# What needs Isaac Lab: every engine's conformance, on its CPU device. Kernels are compiled at first, for minutes.
test-isaac: $(VENV)/.installed $(VENV_ISAAC)/.installed
	$(VENV)/bin/python -m pytest -m isaac tests

clean:
	rm -rf $(VENV) $(VENV_ROBOT) $(VENV_ISAAC) .venv-peers runs build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
