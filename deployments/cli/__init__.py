"""The `performia` command: one module a verb, and the consoles."""
