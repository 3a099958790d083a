"""What several neural networks need to run fast on a CPU."""
