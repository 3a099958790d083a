"""What runs, in which order: one flow per file."""

import lazy_loader

from performia import refuse_foreign_packages

refuse_foreign_packages()

# Prefect is imported with a flow, when one is asked for: `performia --help` does without.
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"song_analysis": ["analyze_song"]})
