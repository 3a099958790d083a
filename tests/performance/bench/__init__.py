"""How long things take, measured side by side in one run: `python -m tests.performance.bench SONG...`."""
