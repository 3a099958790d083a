"""How long things take, measured side by side in one run: the parts of `performia bench`. Nothing here runs in an analysis."""
