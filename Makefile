# make demo    run the whole method unattended, into data/runs/demo/ (SEED=k for other figures)
# make lab     open the same notebooks, with their panels, in JupyterLab
# make label   serve the preference card alone, a secret link per annotator (ANNOTATORS=ann,bob)
# make serve-clinic   simulated models for any OpenAI client: PORT=8801 OPTIONS="--latency 0.2"
# make study   run the demo for SEEDS="0 1 2 7 11", pool the claims, and vary one cause at a time
# make test    run lint and the fast tests     make test-all    also run the slow tests
# make docs    build the site of executed notebooks and pages (RUN=data/runs/mine)
# make bench   run the benchmarks              make bench-gpu   those of tuning on a CUDA GPU
# make clean   remove .venv, caches, demo run

PYTHON ?= $(shell command -v python3.11 || command -v python3)
SEED ?= 0
SEEDS ?= 0 1 2 7 11
RUN ?= data/runs/demo
HOST ?= 127.0.0.1
PORT ?= 8866
BIN := .venv/bin
INSTALLED := .venv/.installed

# Idle OpenMP threads must not spin, which costs more than it gains on two shared cores.
export OMP_WAIT_POLICY := passive
export TOKENIZERS_PARALLELISM := false

.PHONY: demo study lab label serve-clinic test test-all lint docs bench bench-gpu models clean

demo: $(INSTALLED)
	$(BIN)/python -m vital_lib.walkthrough --run data/runs/demo --seed $(SEED) --fresh

study: $(INSTALLED)
	$(BIN)/python -m vital_lib.study run --folder data/runs/study --seeds $(SEEDS)
	$(BIN)/python -m vital_lib.study sweep --folder data/runs/study

lab: $(INSTALLED)
	$(BIN)/jupyter lab --ip=127.0.0.1 --ServerApp.root_dir="$(CURDIR)" \
		--ServerApp.kernel_websocket_connection_class=vital_lib.connection.UndelayedConnection \
		notebooks/00_start_here.ipynb

label: $(INSTALLED)
	@test -n "$(ANNOTATORS)" || { echo "name the annotators: make label ANNOTATORS=ann,bob"; exit 2; }
	$(BIN)/python -m vital_lib.labelling --run $(RUN) --annotators "$(ANNOTATORS)" \
		--host $(HOST) --port $(PORT) $(OPTIONS)

serve-clinic: PORT = 8801
serve-clinic: $(INSTALLED)
	$(BIN)/python -m vital_lib.clinic.server --port $(PORT) $(OPTIONS)

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 -m "not slow"

test-all: MEASURED := --cov=vital_lib --cov-report=
test-all: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 -m "not slow" $(MEASURED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile -m slow \
		--ignore=tests/benchmarks --durations=40 $(MEASURED) --cov-append
	$(BIN)/python tests/coverage_gaps.py

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check vital_lib tests docs
	$(BIN)/ty check --output-format concise vital_lib
	$(BIN)/lint-imports --no-cache
	$(BIN)/nbstripout --verify notebooks/*.ipynb
	sh tests/lint_scripts.sh

docs: $(INSTALLED)
	$(BIN)/python docs/site.py $(RUN)

bench: $(INSTALLED)
	$(BIN)/python -m pytest -q -s tests/benchmarks -m "slow or not slow"

bench-gpu: $(INSTALLED)
	$(BIN)/python tests/benchmarks/gpu_tuning.py

models: $(INSTALLED)
	$(BIN)/python -m vital_lib.clinic.base_models

$(INSTALLED): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

clean:
	rm -rf .venv build data/runs/demo .coverage* .pytest_cache .ruff_cache .import_linter_cache *.egg-info
