"""Recognising chords, where they are heard."""

import lazy_loader

# Prefect is imported with the task, when it is asked for: the engines of this package are usable without it.
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"task": ["recognize_chords"]})
