"""Latin American."""

from __future__ import annotations

from typing import Final

from tasks.evaluation.datasets.made.parts import Singing
from tasks.evaluation.datasets.made.styles.progressions import CIRCLE, CLASSICAL_MINOR, COUNTRY, JAZZ, MINOR, SOUL
from tasks.evaluation.datasets.made.styles.table import FOUR, PAD, Chords, Style

STYLES: Final[dict[str, Style]] = {
    "bossa": Style(
        4,
        (116, 150),
        JAZZ + SOUL,
        drums=(
            {"K": "x..xx..xx..xx..x", "R": "x..x..x...x..x..", "H": "xxxxxxxxxxxxxxxx"},
            {"R": "..x..x..x..x...x", "A": "xoxoxoxoxoxoxoxo"},
        ),
        kits=(0, 32),
        bass=("1--51--51--51--5", "1-----5-5-----1-"),
        bass_programs=(32, 33),
        chords=(Chords(("x..x..x...x..x..", "..x..x..x..x...x", "x-.x--x-..x--x--"), (24, 0), "close", 55, always=True),),
        leads=(73, 66, 52),
        early=0.4,
        melody=Singing(2, 0.45, 0.35),
        crash=0.0,
    ),
    "samba": Style(
        4,
        (94, 118),
        JAZZ[:1] + COUNTRY[2:] + SOUL,
        drums=(
            {"K": "x..xx..xx..xx..x", "R": "x.x.xx.x.x.xx.x.", "A": "XoxoXoxoXoxoXoxo"},
            {"F": "....x.......x...", "J": "XooxXooxXooxXoox", "R": "x.xx.x.x.xx.x.x."},
        ),
        bass=("1..5....1..5....", "1-.51-.51-.51-.5"),
        chords=(Chords(("x.x.xx.x.x.xx.x.", ".x.xx.x.x.xx.x.x"), (24, 25), "close", 57, always=True),),
        leads=(73, 22, 71),
        melody=Singing(4, 0.35, 0.35),
        crash=0.0,
    ),
    "salsa_montuno": Style(
        4,
        (168, 212),
        ("1:min|4:min|5:7|1:min", "1:min|5:7|5:7|1:min", "1:min|b7:maj|b6:maj|5:7"),
        "minor",
        drums=(
            {"V": "x.....x.....x...", "q": "....x.......xx..", "W": FOUR},
            {"V": "....x...x.....x.", "Q": "..x...x...x...x.", "W": "x.x.x.xxx.x.x.xx"},
        ),
        bass=("......5-....8---", "1.....5-....1---"),
        bass_programs=(32, 33),
        chords=(
            Chords(("x.x..x.x.x.x..x.", ".x.x.x.xx.x.x.x.", "0.x..2.x.x.0.x.."), (0,), "wide", 60, always=True),
            Chords(("x.....x.....x...",), (61, 56), "close", 62, 60),
        ),
        leads=(56, 57, 73),
        early=0.5,
        melody=Singing(2, 0.45, 0.4),
        fills=0.3,
    ),
    "cha_cha": Style(
        4,
        (108, 128),
        MINOR + CIRCLE,
        "minor",
        drums=(
            {"W": FOUR, "q": "............x.x.", "g": "x...x.x.x...x.x."},
            {"W": "x.......x.......", "Q": "..x...x...x...x.", "K": "x.....x.x......."},
        ),
        bass=("1-....5-8---....", "1-----5-5---1---"),
        bass_programs=(32, 33),
        chords=(Chords(("....x.......x.x.", "..x...x...x...x."), (0, 16), "close", 57, always=True),),
        leads=(73, 56, 40),
        melody=Singing(2, 0.4, 0.25),
    ),
    "tango": Style(
        4,
        (112, 132),
        CLASSICAL_MINOR,
        "minor",
        bass=("1.....1.5...1...", "1...1...1...1..5"),
        bass_programs=(32, 43),
        chords=(Chords(("x...x...x...x...", "x.....xxx...x...", "x..x..x.x..x..x."), (0, 21, 23), "close", 55, always=True), PAD),
        leads=(40, 21, 23),
        curves=("drift", "ending", "rubato"),
        melody=Singing(2, 0.5, 0.1),
        drumless=1.0,
    ),
}
