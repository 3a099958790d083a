"""`python -m tests.performance.learning.phrases --data FOLDER`: learn the numbers of `tasks/structure/learnt.json` on the songs of the
*choose* half whose phrases people wrote down (POP909), show how they do on the others, beside phrases of eight bars each.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import soundfile
import typer

from tasks.common.harmony.naming import named_chord
from tasks.evaluation.annotations import AnnotatedSong, Span
from tasks.evaluation.datasets import load_songs
from tasks.evaluation.scores.structure import boundary_figures
from tasks.structure import phrases
from tasks.structure.detect import levels_of_repetition, with_chords
from tasks.structure.features import BarFeatures, bar_edges, measure_bars
from tasks.structure.segmentation import segment

Floats = npt.NDArray[np.float64]

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
_KEPT = Path(tempfile.gettempdir()) / "performia-learning"
_LONGEST_BARS = 24
#: Phrases of each length that are taken to have been seen before any was.
_SEEN = 0.3
#: How much the weight of a cue is held to nothing: chosen by three folds of the choose songs.
_HELD = 3.0


@dataclass(frozen=True)
class Measured:
    """A song and its bars, as they are annotated; what a person wrote is cut where the sound ends."""

    song: AnnotatedSong
    bars: BarFeatures
    truth: tuple[Span, ...]

    @property
    def begins(self) -> Floats:
        """(n,) 1 for the bars on which a phrase begins."""
        found = np.zeros(len(self.bars))
        found[[int(np.argmin(np.abs(self.bars.edges - span.start))) for span in self.truth[1:]]] = 1.0
        return found


@app.command()
def main(
    data: Annotated[Path, typer.Option(help="The annotated songs: see tasks/evaluation/README.md.")],
    kept: Annotated[Path, typer.Option(help="Where rendered songs are kept.")] = _KEPT,
    only_show: Annotated[bool, typer.Option(help="Learn nothing; show how the numbers that are there do.")] = False,
) -> None:
    songs = [song for song in load_songs(data, kept / "rendered", ("pop909",)) if song.truth.sections and song.truth.downbeats]
    found = [measure(song) for song in songs]
    if not only_show:
        write([one for one in found if one.song.split == "choose"])
    show([one for one in found if one.song.split == "check"])


def measure(song: AnnotatedSong) -> Measured:
    path, truth = song.audio(), song.truth
    duration = soundfile.info(path).duration
    assert truth.downbeats
    assert truth.sections
    assert truth.chords
    bars = measure_bars(path, [path], [], bar_edges([time for time in truth.downbeats if time < duration], duration), None)
    chords = [named_chord(span.start, span.end, span.label, {span.label: 1.0}) for span in truth.chords if span.start < duration]
    sections = tuple(Span(s.start, min(s.end, duration), s.label) for s in truth.sections if s.start < min(s.end, duration - 1.0))
    return Measured(song, with_chords(bars, chords), sections)


def write(found: Sequence[Measured]) -> None:
    """Learn from songs, and write the numbers to where the step reads them."""
    model = learn(found)
    document = {"learnt_from": {"songs": len(found), "datasets": ["pop909"]}, "cues": model.cues, "lengths": model.lengths}
    document |= {name: np.round(values, 4).tolist() for name, values in vars(model).items()}
    phrases.FILE.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")
    phrases.phrase_model.cache_clear()


def learn(found: Sequence[Measured], steps: int = 25) -> phrases.PhraseModel:
    """The cues by logistic regression, the lengths by counting. How common phrases are is in the lengths, and left out of the cues."""
    rows = np.concatenate([phrases.cues(one.bars)[1:] for one in found])
    rows = np.column_stack([np.ones(len(rows)), rows])
    begins = np.concatenate([one.begins[1:] for one in found])
    weights, held = np.zeros(rows.shape[1]), np.diag([1e-6, *[_HELD] * (rows.shape[1] - 1)])
    for _ in range(steps):
        likely = 1.0 / (1.0 + np.exp(-rows @ weights))
        slope = rows.T @ (likely - begins) + held @ weights
        weights = weights - np.linalg.solve((rows * (likely * (1 - likely))[:, None]).T @ rows + held, slope)
    counts = np.full(_LONGEST_BARS + 1, _SEEN)
    counts[0] = 1e-9
    for one in found:
        for bars in np.diff(np.flatnonzero(one.begins)):
            counts[min(int(bars), _LONGEST_BARS)] += 1
    return phrases.PhraseModel(weights[1:], np.log(counts / counts.sum()))


def show(found: Sequence[Measured]) -> None:
    """Hit rates of the phrases that were found, and of phrases of eight bars from the first whole bar on."""
    for name in ("fine", "sections", "change alone", "4 bars each", "8 bars each", "16 bars each"):
        figures = [boundary_figures(one.truth, _spans(one, name)) for one in found]
        means = {metric: float(np.mean([each[metric] for each in figures])) for metric in ("hr_0.5s", "hr_2s", "hr_3s", "pairwise_f")}
        typer.echo(f"{name}: " + " ".join(f"{metric} {value:.3f}" for metric, value in means.items()))


def _spans(one: Measured, name: str) -> list[Span]:
    count = len(one.bars)
    if name in ("fine", "sections"):
        sections, _, fine = levels_of_repetition(one.bars, [])
        return [Span(s.start, s.end, s.group) for s in (fine if name == "fine" else sections)]
    every = segment(one.bars).fine if name == "change alone" else (0, *range(1, count, int(name.split()[0])), count)
    return [Span(float(one.bars.edges[a]), float(one.bars.edges[b]), str(a)) for a, b in pairwise(sorted({*every}))]


if __name__ == "__main__":
    app()
