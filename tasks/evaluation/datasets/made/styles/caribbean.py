"""Caribbean."""

from __future__ import annotations

from typing import Final

from tasks.evaluation.datasets.made.parts import Singing
from tasks.evaluation.datasets.made.styles.progressions import MINOR, POP
from tasks.evaluation.datasets.made.styles.table import FOUR, HATS8, Chords, Style

STYLES: Final[dict[str, Style]] = {
    "reggae_one_drop": Style(
        4,
        (66, 84),
        POP + MINOR[:2],
        drums=(
            {"K": "........x.......", "R": "........x.......", "H": HATS8},
            {"K": "........x.......", "S": "........x.....o.", "H": "x.xxx.x.x.xxx.x."},
        ),
        bass=("....1-3-5---1---", "1--1--3-..5-....", "..1-3-5-..1-5-3-"),
        chords=(
            Chords(("..x...x...x...x.", "..xx..xx..xx..xx"), (0, 16, 27), "close", 57, always=True),
            Chords((".xxx.xxx.xxx.xxx",), (16,), "close", 52, 56),
        ),
        melody=Singing(4, 0.25, 0.3),
        swing=(0.5, 0.58),
        swing_units=2,
        crash=0.05,
        loose=0.0,
    ),
    "reggae_steppers": Style(
        4,
        (68, 82),
        MINOR,
        "minor",
        drums=({"K": "x...x...x...x...", "R": "........x.......", "H": "..x...x...x...x."},),
        bass=("1-.1-.5-..3-5---", "1---..1-5---3-1-"),
        chords=(Chords(("..x...x...x...x.",), (27, 16, 0), "close", 57, always=True),),
        melody=Singing(4, 0.25),
        crash=0.05,
        loose=0.0,
    ),
    "ska": Style(
        4,
        (128, 172),
        POP[:4] + MINOR[:2],
        drums=(
            {"K": "x.......x.......", "S": "....x.......x...", "H": "..x...x...x...x."},
            {"K": "....x.......x...", "S": "....x.......x...", "H": HATS8},
        ),
        bass=("1...3...5...3...", "1.3.5.8.5.3.1.d.", "1...5...8...5..."),
        chords=(
            Chords(("..x...x...x...x.",), (27, 0, 16), "close", 60, always=True),
            Chords(("..x.......x.....", "....x.......x.x."), (61, 57), "close", 60, 66),
        ),
        leads=(56, 57, 65, 66),
    ),
    "calypso": Style(
        4,
        (106, 132),
        ("1:maj|4:maj|5:maj|1:maj", "1:maj|5:7|5:7|1:maj", "1:maj 4:maj|1:maj 5:maj|1:maj 4:maj|5:maj 1:maj"),
        drums=({"K": FOUR, "R": "x..x..x...x..x..", "A": "xoxoxoxoxoxoxoxo"}, {"K": "x.....x.x.....x.", "S": "...x..x....x..x."}),
        bass=("1.....5.3.....5.", "1-----5-1-----5-"),
        chords=(Chords(("..x...x...x...x.", "...x..x....x..x."), (27, 114, 24), "close", 57, always=True),),
        leads=(114, 56, 73),
    ),
}
