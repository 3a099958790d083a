"""Blues and its children."""

from __future__ import annotations

from typing import Final

from tasks.evaluation.datasets.made.parts import Singing
from tasks.evaluation.datasets.made.styles.progressions import BLUES, ROCK
from tasks.evaluation.datasets.made.styles.table import HATS8, PAD3, Chords, Style

STYLES: Final[dict[str, Style]] = {
    "blues_shuffle": Style(
        4,
        (98, 138),
        BLUES,
        "blues",
        drums=({"K": "x...x...", "S": "..x...x.", "H": "x.xxx.xx"}, {"K": "x..xx..x", "S": "..x...x.", "D": "x.xxx.xx"}),
        bass=("1.3.5.7.", "1.1.5.5.", "11335577", "walk"),
        chords=(Chords(("x.xxx.xx", "..x...x.", "x..x...."), (26, 27, 16, 0), "close", 52, always=True),),
        leads=(22, 27, 29, 66),
        melody=Singing(2, 0.4, 0.2),
        swing=(0.62, 0.68),
    ),
    "shuffle_12_8": Style(
        4,
        (58, 104),
        BLUES + ROCK,
        "blues",
        drums=(
            {"K": "x.....x.....", "S": "...x.....x..", "H": "x.xx.xx.xx.x"},
            {"K": "x.x...x.x..x", "S": "...x.....x..", "D": "xxxxxxxxxxxx"},
        ),
        bass=("1.13.35.57.7", "1.11.15.55.5", "1..1..5..5.."),
        chords=(Chords(("x.xx.xx.xx.x", "..x..x..x..x", "x-----x-----"), (26, 27, 0, 16), "close", 52, always=True),),
        leads=(22, 27, 66),
        melody=Singing(3, 0.4, 0.15),
    ),
    "slow_blues": Style(
        4,
        (50, 70),
        BLUES,
        "blues",
        drums=({"K": "x.....x..x..", "S": "...x.....x..", "D": "xxxxxxxxxxxx"},),
        kits=(0, 40),
        bass=("1--1--5--7--", "1.11.15.55.5"),
        chords=(Chords(("x-----x-----", "xxxxxxxxxxxx", "...x.....x.."), (0, 16, 27), "close", 54, always=True),),
        leads=(22, 27, 29, 66),
        melody=Singing(3, 0.35),
        hole=0.2,
    ),
    "boogie_solo": Style(
        4,
        (130, 184),
        BLUES,
        "blues",
        bass=("13555531", "1.3.5.3.", "18385838"),
        bass_programs=(0,),
        chords=(Chords(("x..x..x.", "...x...x", "x.x.x.x."), (0,), "close", 60, always=True),),
        leads=(0,),
        swing=(0.56, 0.67),
        drumless=1.0,
    ),
    "rock_and_roll": Style(
        4,
        (148, 190),
        BLUES,
        "blues",
        drums=(
            {"K": "x...x...x...x...", "S": "....x.......x.x.", "H": HATS8},
            {"K": "x.......x.......", "S": "....x.......x...", "D": HATS8},
        ),
        bass=("1.3.5.8.5.3.1.5.", "1.1.3.3.5.5.3.3.", "1...5...1...5..."),
        bass_programs=(32, 33),
        chords=(Chords(("x.x.x.x.x.x.x.x.", "x...x...x...x..."), (27, 0, 26), "guitar", 48, always=True),),
        leads=(66, 27, 65),
        melody=Singing(2, 0.5),
    ),
    "doo_wop": Style(
        4,
        (56, 96),
        ("1:maj|6:min|4:maj|5:7", "1:maj 6:min|4:maj 5:7|1:maj 6:min|4:maj 5:7"),
        drums=({"K": "x.....x.....", "S": "...x.....x..", "H": "xxxxxxxxxxxx"}, {"R": "...x.....x..", "K": "x....xx....."}),
        bass=("1--..51--..5", "1-----5-----"),
        chords=(Chords(("xxxxxxxxxxxx", "012321012321", "x--x--x--x--"), (0, 27, 53), "close", 57, always=True), PAD3),
        leads=(53, 52, 66),
        melody=Singing(3, 0.35),
        modulates=0.4,
    ),
}
