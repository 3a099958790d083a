"""Loading pickled checkpoints without running what they say.

Torch's `weights_only` loader refuses every class that is not on its list. The lists here hold what the known checkpoints need: numbers,
arrays, and the model's own class. Anything else in a file is refused, and named.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tasks.common.errors import ModelCorrupt

#: A class or function a checkpoint may name, with the name it goes by in the file where that is another.
SafeGlobal = Callable[..., Any] | tuple[Callable[..., Any], str]


def load_checkpoint(path: Path, safe: Sequence[SafeGlobal]) -> Any:
    """What a torch checkpoint holds, on the CPU. Raises ModelCorrupt if it names anything but weights and what is `safe`."""
    import torch

    with warnings.catch_warnings(), torch.serialization.safe_globals(list(safe)):
        warnings.simplefilter("ignore")
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, EOFError, KeyError, RuntimeError) as error:
            raise ModelCorrupt(f"{path.name} cannot be loaded: {_reason(path, safe, error)}") from error


def numpy_globals() -> list[SafeGlobal]:
    """What pickled numpy numbers and arrays name, under the names of numpy 1 and numpy 2."""
    array, number = np.empty(0).__reduce__()[0], np.float64(0).__reduce__()[0]
    assert callable(array)
    assert callable(number)
    dtypes = sorted({type(np.dtype(code)) for code in "?bBhHiIlLqQefd"}, key=lambda cls: cls.__name__)
    return [
        (array, "numpy.core.multiarray._reconstruct"),
        (array, "numpy._core.multiarray._reconstruct"),
        (number, "numpy.core.multiarray.scalar"),
        (number, "numpy._core.multiarray.scalar"),
        np.ndarray,
        np.dtype,
        *dtypes,
    ]


def _reason(path: Path, safe: Sequence[SafeGlobal], error: Exception) -> str:
    import torch

    named = {entry[1] if isinstance(entry, tuple) else f"{entry.__module__}.{entry.__qualname__}" for entry in safe}
    try:
        refused = sorted(set(torch.serialization.get_unsafe_globals_in_checkpoint(path)) - named)
    except Exception:  # noqa: BLE001 (what is wrong with the file is told in other words)
        refused = []
    return f"it names {', '.join(refused)}, which no model needs" if refused else f"it is not a checkpoint ({type(error).__name__})"
