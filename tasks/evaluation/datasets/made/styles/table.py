"""What a style says, and the instruments (General MIDI programs) and patterns that several share. How patterns are written is said in
parts.py."""

from __future__ import annotations

from dataclasses import dataclass, field

from tasks.evaluation.datasets.made.parts import Singing

Drums = dict[str, str]
PIANOS = (0, 1, 2, 4, 5)
GUITARS = (24, 25, 26, 27)
DRIVEN = (29, 30)
STRINGS = (48, 49, 50)
BASSES = (32, 33, 34, 35)
SYNTH_BASSES = (38, 39)
LEADS = (52, 53, 54, 56, 64, 65, 66, 73, 80, 81, 85, 40, 68, 71, 22)


@dataclass(frozen=True)
class Chords:
    """One accompanying instrument: its patterns, of which a song takes one or two."""

    patterns: tuple[str, ...]
    programs: tuple[int, ...] = PIANOS
    voicing: str = "close"
    register: int = 55
    level: int = 78
    always: bool = False


@dataclass(frozen=True)
class Style:
    """meter: beats in a bar. bpm: slowest and fastest. The shares say how many of its songs have a thing."""

    meter: int
    bpm: tuple[float, float]
    progressions: tuple[str, ...]
    mode: str = "major"
    drums: tuple[Drums, ...] = ()
    kits: tuple[int, ...] = (0, 8, 16)
    bass: tuple[str, ...] = ()
    bass_programs: tuple[int, ...] = BASSES
    bass_register: int = 33
    chords: tuple[Chords, ...] = ()
    melody: Singing | None = field(default_factory=Singing)
    leads: tuple[int, ...] = LEADS
    swing: tuple[float, float] = (0.5, 0.5)
    swing_units: int = 1
    curves: tuple[str, ...] = ("steady", "steady", "steady", "drift", "ending")
    fills: float = 0.7
    crash: float = 0.3
    loose: float = 0.06
    drumless: float = 0.1
    early: float = 0.15
    pickup: float = 0.2
    hole: float = 0.08
    odd_bar: float = 0.0
    modulates: float = 0.15
    bars: tuple[int, ...] | None = None
    """Beats of the bars where they differ by turns."""


PAD = Chords(("x---------------",), (*STRINGS, 89, 91, 16, 52), "close", 55, 55)
PAD3 = Chords(("x-----------",), (*STRINGS, 89, 16), "close", 55, 55)
HATS8 = "x.x.x.x.x.x.x.x."
ROCK_DRUMS: tuple[Drums, ...] = (
    {"K": "x.......x.......", "S": "....x.......x...", "H": HATS8},
    {"K": "x.....x.x.......", "S": "....x.......x...", "H": HATS8},
    {"K": "x..x......x.....", "S": "....x.......x...", "D": "x...x...x...x..."},
    {"K": "..x...x...x...x.", "S": "....X.......X...", "O": "x.x.x.x.x.x.x.x."},
    {"K": "x.x.....x.x.....", "S": "....x.......x..o", "H": "xxxxxxxxxxxxxxxx"},
)
FOUR = "x...x...x...x..."
OFFHAT = "..x...x...x...x."
SWING_RIDE: tuple[Drums, ...] = (
    {"D": "x.xxx.xx", "P": "..x...x."},
    {"D": "x.xxx.xx", "P": "..x...x.", "S": ".....o..", "K": "o..o...o"},
    {"D": "x.x.x.xx", "P": "..x...x.", "S": "...o...."},
)
STRUMS = ("x.x.xxx.x.x.xxx.", "x...x.xx..x.x.xx", "x.x.x.x.x.x.x.x.", "X.xxX.xxX.xxX.xx", "x-----x-x---x-x-")
WALTZ_COMP = ("..x.x.", "x-x-x-", "..x-x-")
TRAVIS = ("0.3.2.4.0.3.2.4.", "0-1-2-3-4-3-2-1-", "0.2.3.2.1.2.3.2.")
ARP8 = ("0-1-2-3-4-3-2-1-", "0-2-1-2-0-2-1-2-", "4-2-1-0-1-2-3-2-")
