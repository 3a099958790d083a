"""Learning the weights of `tasks/beats_key/learnt.json` from annotated songs: `python -m tests.performance.learning --data FOLDER`."""
