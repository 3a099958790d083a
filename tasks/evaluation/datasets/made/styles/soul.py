"""Soul, funk and their neighbours."""

from __future__ import annotations

from typing import Final

from tasks.evaluation.datasets.made.parts import Singing
from tasks.evaluation.datasets.made.styles.progressions import DORIAN, SOUL
from tasks.evaluation.datasets.made.styles.table import HATS8, PAD, PAD3, Chords, Style

STYLES: Final[dict[str, Style]] = {
    "funk": Style(
        4,
        (92, 114),
        DORIAN,
        "dorian",
        drums=(
            {"K": "x.x....x..x.....", "S": "....x..o.o..x..o", "H": "xxxxxxxxxxxxxxxx"},
            {"K": "x..x..x...x..x..", "S": "....x.......x.o.", "H": "x.xxx.xxx.xxx.xx"},
        ),
        bass=("1..8..1.7.5.1...", "1.1...78..5...1.", "1...1..1..7.8..."),
        bass_programs=(36, 37, 33),
        chords=(
            Chords(("..x...x...xx..x.", "xx.x..xx.x.x..x.", "...x..x....x..x."), (28, 27, 7), "close", 57, always=True),
            Chords(("............x.x.",), (61, 62), "close", 60, 70),
        ),
        melody=Singing(4, 0.35, 0.35),
        loose=0.1,
        early=0.3,
    ),
    "funk_on_four": Style(
        4,
        (94, 112),
        ("1:9|%|4:9|%", "1:7|%|%|4:7"),
        "mixolydian",
        drums=(
            {"K": "......x...x.....", "S": "....x..o.o.ox...", "H": "x.x.x.x.x.x.x.x."},
            {"K": "..x...x..x....x.", "S": "....x.......x...", "H": "xxxxxxxxxxxxxxxx"},
        ),
        bass=("..1.8...1.5.7...", "...1..8..5.7..1."),
        bass_programs=(36, 33),
        chords=(Chords(("....x.......x...", ".x..x.x..x..x.x."), (28, 27, 16), "close", 58, always=True),),
        melody=Singing(4, 0.35, 0.4),
        crash=0.1,
    ),
    "soul_ballad": Style(
        4,
        (62, 84),
        SOUL,
        drums=({"K": "x......xx.......", "R": "....x.......x...", "H": HATS8},),
        bass=("1-----5-1---3-5-", "1--5--8-1-------"),
        chords=(Chords(("x---x---x---x---", "..x-..x-..x-..x-"), (4, 16, 0), always=True), PAD),
        swing=(0.5, 0.58),
        swing_units=2,
        modulates=0.5,
        melody=Singing(4, 0.3, 0.3),
    ),
    "rnb_slow": Style(
        4,
        (60, 78),
        SOUL,
        drums=({"K": "x..x..x..x......", "L": "....x.......x...", "H": "x.xxx.x.x.xxx.x."},),
        kits=(25, 24),
        bass=("1--1------5-----", "1---------------"),
        bass_programs=(38, 33),
        chords=(Chords(("x-----x---------", "0.1.2.3.4.3.2.1."), (4, 5, 46), always=True), PAD),
        swing=(0.5, 0.6),
        swing_units=2,
        melody=Singing(4, 0.35, 0.3),
    ),
    "afrobeat": Style(
        4,
        (100, 122),
        DORIAN,
        "dorian",
        drums=(
            {"K": "x.x...x.x.x...x.", "S": "...x..x....x..x.", "H": "xxx.xxx.xxx.xxx."},
            {"K": "..x...x...x...x.", "R": "x..x..x...x.x...", "A": "xoxoxoxoxoxoxoxo"},
        ),
        bass=("1..1..5...7.8...", "..1.1...5.7....."),
        chords=(
            Chords(("..xx..x...xx..x.", "x..x..x...x.x..."), (27, 16, 28), "close", 57, always=True),
            Chords(("..........x.xx..",), (61, 65), "close", 60, 66),
        ),
        melody=Singing(4, 0.3, 0.3),
        early=0.0,
    ),
    "gospel_12_8": Style(
        4,
        (54, 72),
        ("1:maj|1:7|4:maj|4:min6|1:maj/5|6:7|2:min7 5:7|1:maj", "1:maj 3:7|6:min 1:7|4:maj #4:dim7|1:maj/5 5:7"),
        drums=(
            {"K": "x.....x..x..", "S": "...x.....x..", "H": "xxxxxxxxxxxx"},
            {"K": "x....xx.....", "R": "...x.....x..", "D": "xxxxxxxxxxxx"},
        ),
        bass=("1-----1--3-5", "1----11----5"),
        chords=(Chords(("x--x--x--x--", "012345432101", "xxxxxxxxxxxx"), (0, 16, 18), "wide", 57, always=True), PAD3),
        melody=Singing(3, 0.4, 0.1),
        modulates=0.6,
    ),
}
