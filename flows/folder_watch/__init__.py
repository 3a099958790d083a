"""The folder watch: which files of an inbox have settled, which song starts next, and what becomes of each. Knows nothing of Prefect."""
