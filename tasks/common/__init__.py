"""Cross-cutting matters, one module each, so that none of them exists twice."""
