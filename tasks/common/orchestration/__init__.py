"""What runs the steps on Prefect: with the task shells, the only rooms below the flows that import it."""
