# Thin aliases of `efficient-sed` commands; nothing lives only here. `make` lists the targets.
PYTHON   ?= python3
VENV     ?= .venv
BIN      := $(VENV)/bin
# What a sweep varies; comma lists everywhere.
BACKBONE ?= fmn10
SEQ      ?= tf
HIDDEN   ?= 256
DATA     ?= synthetic
# A budget, and how many trials look for what it buys; from scratch, since few widths have trained weights to start from
MACS     ?= 500M
PARAMS   ?= 2M
TRIALS   ?= 60
# How long `make results` begins further models
BUDGET   ?= 30m
# A file of configs/experiment, or a grid of configs/sweep with models of its own; PRESET= for none
PRESET   ?= finetune
# local, slurm or ray; what it takes is launcher.key=value in ARGS
LAUNCHER ?= local
# cpu: a torch without CUDA, where the package index has one; auto: the same on machines without a GPU; cuda: as pip does
TORCH    ?= auto
# More key=value pairs, such as ARGS="train.epochs=20 seed=1"
ARGS     ?=

.DEFAULT_GOAL := help
.PHONY: help sweep search smoke plot benchmark results models browser test test-gpu check docs pictures format constraints release clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo 'Variables: BACKBONE=$(BACKBONE) SEQ=$(SEQ) HIDDEN=$(HIDDEN) DATA=$(DATA) PRESET=$(PRESET) LAUNCHER=$(LAUNCHER) TORCH=$(TORCH) ARGS=$(ARGS) PYTHON=$(PYTHON)'

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# torch and its companions at the versions of constraints.txt, built for CPUs alone
CPU_TORCH := $(shell sed -n 's/^\(torch\(audio\|vision\)\{0,1\}==[0-9.]*\)$$/\1+cpu/p' constraints.txt)

$(BIN)/efficient-sed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"PYTHON=$(PYTHON) is {sys.version.split()[0]}; efficient_sed needs 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	@echo 'installing into $(VENV): a few minutes; 5.5 GB on disk, of which 3.3 are libraries for GPUs, which a torch for CPUs does without'
	@if ! $(BIN)/python -c 'import torch' 2>/dev/null && { [ "$(TORCH)" = cpu ] || { [ "$(TORCH)" = auto ] && ! command -v nvidia-smi >/dev/null; }; }; then \
	  $(PIP) --retries 1 $(CPU_TORCH) 2>/dev/null && echo 'torch is the build for CPUs (TORCH=cuda takes the other)' || \
	  echo 'no torch for CPUs alone can be had from this package index: the one with CUDA runs on them, too'; fi
	$(PIP) --editable '.[plot,onnx]'
	@touch $@

# What tests, checks and documentation need, too
$(VENV)/.development: $(BIN)/efficient-sed
	@echo 'installing what development needs into $(VENV): 0.9 GB more'
	$(PIP) --editable '.[eval,plot,dev,docs]'
	@touch $@

sweep: $(BIN)/efficient-sed ## train, evaluate, benchmark and plot a grid: make sweep SEQ=tf,gru HIDDEN=128,256
	$(BIN)/efficient-sed sweep $(if $(wildcard configs/sweep/$(PRESET).yaml),sweep=$(PRESET),$(if $(PRESET),experiment=$(PRESET)) backbone=$(BACKBONE) seq=$(SEQ) seq.hidden=$(HIDDEN)) data=$(DATA) --launcher $(LAUNCHER) $(ARGS)

search: $(BIN)/efficient-sed ## search for the best models within a budget: make search MACS=500M PARAMS=2M TRIALS=60
	$(BIN)/python -c 'import optuna' 2>/dev/null || $(PIP) --editable '.[search]'
	$(BIN)/efficient-sed search $(if $(PRESET),experiment=$(PRESET:finetune=scratch)) data=$(DATA) --max-macs $(MACS) --max-params $(PARAMS) --trials $(TRIALS) --launcher $(LAUNCHER) $(ARGS)

smoke: $(BIN)/efficient-sed ## every sequence head for one short epoch
	$(BIN)/efficient-sed sweep experiment=smoke backbone=fmn04 seq=all seq.hidden=64 --plot plots/smoke.png $(ARGS)

plot: $(BIN)/efficient-sed ## table and frontier of all finished runs
	$(BIN)/efficient-sed plot $(ARGS)

benchmark: $(BIN)/efficient-sed ## parameters, MACs and speed without training: make benchmark BACKBONE=fmn04 SEQ=gru HIDDEN=128
	$(BIN)/efficient-sed benchmark $(BACKBONE)$(if $(filter-out none,$(SEQ)),+$(SEQ)-$(HIDDEN)) $(ARGS)

results: $(BIN)/efficient-sed ## measure every model here, into benchmarks/results, and go on where it stopped: make results BUDGET=30m
	$(BIN)/efficient-sed benchmark --results benchmarks/results --budget $(BUDGET) $(ARGS)

models: $(BIN)/efficient-sed ## list released models and parts
	$(BIN)/efficient-sed models $(ARGS)

# Tests drive real programs: the interactive page, listening by MQTT and from cameras; without one they are skipped, and say so.
WEB_RUNTIME := onnxruntime-web@$(shell sed -n 's/^RUNTIME_VERSION = "\(.*\)"$$/\1/p' efficient_sed/export/web_page.py)
browser: ## install Chromium, mosquitto and ffmpeg by apt, and by npm what exported pages run by, into .npm
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || $(call apt,chromium)
	@command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || $(call apt,mosquitto)
	@command -v ffmpeg >/dev/null || $(call apt,ffmpeg)
	@grep -qs '"version": "$(WEB_RUNTIME:onnxruntime-web@%=%)"' .npm/node_modules/onnxruntime-web/package.json || \
	npm install --silent --no-audit --no-fund --ignore-scripts --no-save --prefix .npm $(WEB_RUNTIME) >/dev/null || \
	echo 'npm cannot install $(WEB_RUNTIME) here: the tests of exported pages will be skipped'

apt = { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq --no-install-recommends $(1) >/dev/null; } || \
	echo 'no $(1), and apt cannot install it here (it needs root): tests that need it will be skipped'

test: $(VENV)/.development ## run all tests, in two processes of one thread: small tensors gain nothing from a second one
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal $(ARGS)

test-gpu: $(VENV)/.development ## run the tests that need a GPU of NVIDIA
	$(BIN)/python -m pytest tests/gpu $(ARGS)

check: $(VENV)/.development ## lint and type-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.development ## build the documentation into site/; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

pictures: $(VENV)/.development ## draw the pictures of the documentation again, by the commands that they show
	$(BIN)/python docs/_pictures.py

format: $(VENV)/.development ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

constraints: $(VENV)/.development ## the newest packages that fit together, into constraints.txt, and their licences, into licences.md
	$(BIN)/python .ci/constraints.py

release: $(VENV)/.development ## build the wheel twice, try it in an empty environment, and list what that holds: all into dist/
	$(BIN)/python .ci/release.py

clean: ## remove the environment and caches; keeps datasets/ and runs/
	rm -rf $(VENV) .npm dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis
