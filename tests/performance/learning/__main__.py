"""`python -m tests.performance.learning --data FOLDER`, from the root of the repository: learn on *choose*, show how it does on the rest.

Half an hour for some 450 songs on two cores, nearly all of it listening, which is kept.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from schemas.options import TEMPO_RANGE
from tasks.beats_key import bars, learnt, noise, pulse
from tasks.beats_key.evidence import HeardChords
from tasks.evaluation.datasets import load_songs
from tasks.evaluation.scores.beats import f_measure
from tasks.evaluation.scores.key import longest, weighted
from tests.performance.learning import learn
from tests.performance.learning.listen import Heard, listen

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
#: Of every so many songs, one is learnt from without its chords too: they may have failed.
_WITHOUT_CHORDS = 5
_KEPT = Path(tempfile.gettempdir()) / "performia-learning"
_NO_CHORDS = HeardChords.of_labels([])


@app.command()
def main(
    data: Annotated[Path, typer.Option(help="The annotated songs: see tasks/evaluation/README.md.")],
    kept: Annotated[Path, typer.Option(help="Where what was heard is kept.")] = _KEPT,
    only_show: Annotated[bool, typer.Option(help="Learn nothing; show how the weights that are there do.")] = False,
) -> None:
    """Learn the weights on the songs of the *choose* half, and write them; show the figures of all others."""
    songs = [song for song in load_songs(data, kept / "rendered") if song.truth.beats and not song.name.endswith("solo")]
    heard = []
    for done, one in enumerate(listen(songs, kept / "heard"), 1):
        heard.append(one)
        typer.echo(f"\rheard {done} of {len(songs)}", nl=done == len(songs))
    if not only_show:
        write([one for one in heard if one.song.split == "choose"])
    show([one for one in heard if one.song.split != "choose"])


def write(heard: Sequence[Heard]) -> None:
    """Learn from songs, and write the weights to where the step reads them."""
    many = Counter(one.song.dataset for one in heard)
    # Every data set counts the same: what is made here must not drown what people have written.
    weights = {name: len(heard) / (len(many) * count) for name, count in many.items()}
    lessons = [
        lesson for number, one in enumerate(heard) for lesson in _lessons(one, weights[one.song.dataset], number % _WITHOUT_CHORDS == 0)
    ]
    pulses, scores = learn.pulse_examples(lessons, *TEMPO_RANGE)
    found = [pulse.candidates(lesson.times, *TEMPO_RANGE) for lesson in lessons]
    on_best = [replace(lesson, times=one[int(score.argmax())].times) for lesson, one, score in zip(lessons, found, scores, strict=True)]
    shares = learn.chords_in_key(heard)
    document = {
        "learnt_from": {"songs": len(heard), "datasets": sorted({one.song.dataset for one in heard})},
        "pulse": learn.learn_pulse(pulses).as_json(),
        "bars": learn.learn_bars(learn.bar_examples(on_best)).as_json(),
        "chords_in_key": np.round(shares, 7).tolist(),
    }
    with learn.using(chords_in_key=shares):
        document["key"] = learn.learn_pulse(learn.key_examples(heard), hidden=16).as_json()
    learnt.FILE.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")
    learnt.forget()


def _lessons(one: Heard, weight: float, without_chords: bool) -> list[learn.Lesson]:
    times = noise.without_noise(one.times, one.evidence)
    if len(times) < pulse.MIN_BEATS:
        return []
    truth = one.song.truth
    downbeats = one.until_end(truth.downbeats) if truth.downbeats else None
    lesson = learn.Lesson(one.song.id, weight, pulse.held(times, one.evidence), one.evidence, one.until_end(truth.beats), downbeats)
    return [lesson, replace(lesson, evidence=replace(one.evidence, chords=_NO_CHORDS))] if without_chords else [lesson]


def show(heard: Sequence[Heard]) -> None:
    """The figures by data set and by style, beside the plain tracker and madmom's key network."""
    rows = [_row(one) for one in heard]
    of_set: Callable[[Heard], str] = lambda one: one.song.dataset  # noqa: E731
    of_style: Callable[[Heard], str] = lambda one: f"{one.song.dataset}: {one.group}"  # noqa: E731
    for named in (of_set, of_style):
        groups = defaultdict(list)
        for one, row in zip(heard, rows, strict=True):
            if named is of_set or one.song.style:
                groups[named(one)].append(row)
        typer.echo("| | songs | beats F, plain | ours | downbeats F, plain | ours | key, plain | ours |\n|---|---|---|---|---|---|---|---|")
        for name, found in sorted(groups.items()):
            typer.echo(f"| {name} | {len(found)} | " + " | ".join(_mean(column) for column in zip(*found, strict=True)) + " |")


def _row(one: Heard) -> tuple[float, ...]:
    truth, nan = one.song.truth, float("nan")
    beats, downbeats = one.until_end(truth.beats), one.until_end(truth.downbeats)
    times, ours = noise.without_noise(one.times, one.evidence), one.times[:0]
    if len(times) >= pulse.MIN_BEATS:
        times = pulse.weigh(pulse.held(times, one.evidence), one.evidence, *TEMPO_RANGE)[0].times
        course = bars.best_course(bars.downbeat_log_odds(times, one.evidence), times)
        ours = times[course.positions == 0]
    has_bars = len(downbeats) >= 4
    row = [f_measure(beats, one.times), f_measure(beats, times)]
    row += [f_measure(downbeats, one.downbeats), f_measure(downbeats, ours)] if has_bars else [nan, nan]
    span = longest([key for key in truth.keys if key.start < one.duration]) if truth.keys else None
    if span is None:
        return (*row, nan, nan)
    network = learn.network_in(one, span.start, min(span.end, one.duration))
    joined = one.keys.tonality.probabilities(network, span.start, min(span.end, one.duration)) if one.keys.tonality else network
    return (*row, *(weighted(span.label, learn.key_label(int(found.argmax()))) for found in (network, joined)))


def _mean(column: Sequence[float]) -> str:
    known = [value for value in column if value == value]
    return f"{np.mean(known):.3f}" if known else "–"


if __name__ == "__main__":
    app()
