"""The steps of the analysis, one package each. A package exports its step's Prefect task and nothing else."""
