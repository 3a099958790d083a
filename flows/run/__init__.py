"""What every run has: hooks, endings, live progress, its records at the server."""
