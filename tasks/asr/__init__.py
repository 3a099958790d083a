"""Writing down the lyrics with the time of every word."""

import lazy_loader

# Prefect is imported with the task, when it is asked for: the engines of this package are usable without it.
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"task": ["align_lyrics", "transcribe_lyrics"]})
