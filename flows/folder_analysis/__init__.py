"""Many songs in one process, the models loaded once."""
