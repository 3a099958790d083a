"""Songs in MMA's styles: which styles are believed, and that what MMA is told is what the truth says."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from tasks.evaluation.datasets import mma

STYLE = """Begin Doc
 {doc}
End
Time {time}
TimeSig {signature}
DefGroove {name}
DefGroove {name}Plus
DefGroove {name}Intro
DefGroove {name}End
"""


def library(folder: Path, *, name: str = "rhumba", doc: str = "Latin.", time: str = "4", signature: str = "4 4") -> Path:
    at = folder / "lib" / "stdlib"
    at.mkdir(parents=True, exist_ok=True)
    (at / f"{name}.mma").write_text(STYLE.format(doc=doc, time=time, signature=signature, name=name.title()), encoding="utf-8")
    return folder / "lib"


def test_a_style_has_the_variants_that_are_whole_accompaniments(tmp_path: Path) -> None:
    (style,) = mma.styles(library(tmp_path, name="rhumba2"))
    assert (style.name, style.kind, style.beats) == ("stdlib/rhumba2", "rhumba", 4)
    assert style.grooves == ("Rhumba2", "Rhumba2Plus")


@pytest.mark.parametrize(
    "odd",
    [
        {"doc": "You will need to double the tempo for this."},
        {"doc": "Multiply the\n real tempo by 2."},
        {"time": "6"},
        {"signature": "12 8"},
        {"name": "metronome3"},
    ],
)
def test_what_counts_another_pulse_is_left_out(tmp_path: Path, odd: dict[str, str]) -> None:
    assert list(mma.styles(library(tmp_path, **odd))) == []


@pytest.mark.parametrize(("time", "signature"), [("4", "4 4"), ("3", "3 4"), ("5", "5 4")])
def test_the_truth_follows_from_what_mma_is_told(tmp_path: Path, time: str, signature: str) -> None:
    folder = library(tmp_path, time=time, signature=signature)
    (song,) = mma.load(folder, tmp_path / "rendered")
    (style,) = mma.styles(folder)
    score = mma.composed(style)
    told = mma.as_mma(score, folder).splitlines()
    tempi = [int(line.split()[1]) for line in told if line.startswith("Tempo")]
    bars = [line.split()[1:] for line in told if line[0].isdigit()]
    assert {len(bar) for bar in bars} == {int(time)}
    truth = song.truth
    assert truth.beats is not None
    assert truth.downbeats is not None
    assert truth.chords is not None
    assert truth.beats[0] == truth.downbeats[0] == 0.0
    assert truth.beats[-1] < 60.0
    assert truth.beats[1] == pytest.approx(60 / tempi[0], abs=1e-3)
    assert truth.downbeats[8] == pytest.approx(8 * int(time) * 60 / tempi[0], abs=1e-3)
    assert set(truth.downbeats) <= set(truth.beats)
    assert truth.meter == int(time)
    assert truth.words == ()
    assert all(before.end == after.start and before.label != after.label for before, after in pairwise(truth.chords))
    assert truth.chords[-1].end == 60.0


def test_a_song_is_the_same_every_time(tmp_path: Path) -> None:
    folder = library(tmp_path)
    (style,) = mma.styles(folder)
    assert mma.as_mma(mma.composed(style), folder) == mma.as_mma(mma.composed(style), folder)
