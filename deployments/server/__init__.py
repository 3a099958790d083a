"""One machine's Prefect API and UI, and `performia serve`."""
