"""Accompaniments in the styles that the authors of MMA have written, one song a style: Musical MIDI Accompaniment, B. van der Poel.

    <library>/<style>.mma     the folder is a copy of MMA's library, or a link to it: on Debian /usr/share/mma/lib

MMA (GPL) is in Debian and nothing of it is part of this repository; it is run to make the notes. Chords, keys, tempi and the order of a
style's variants are drawn from its name. Styles of which their authors say that the tempo must be doubled, and those that count eighths,
are left out: which pulse is their beat is a matter of taste.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Final

import mido

from tasks.common.errors import EvaluationDataUnusable
from tasks.common.storage.atomic import whole
from tasks.evaluation.annotations import AnnotatedSong, Annotations, Span
from tasks.evaluation.datasets.made.harmony import Chord, Key, bars_of, parsed
from tasks.evaluation.datasets.made.styles import STYLES
from tasks.evaluation.datasets.reading import tempo_of
from tasks.evaluation.datasets.synth import font_folder, render_file
from tasks.evaluation.split import split_of

_LASTS_SEC: Final = 60.0
_BARS_A_PART: Final = 8
_NO_SONGS: Final = ("metronome", "none", "count", "intro", "ending")
_OTHER_PULSE: Final = re.compile(
    r"(double|doubling|multiply|three times|two times)[^.]{0,60}tempo|tempo[^.]{0,60}(double|three times)", re.S | re.I
)
_GROOVE: Final = re.compile(r"^\s*DefGroove\s+(\S+)", re.M)
_NO_GROOVE: Final = re.compile(r"intro|end|fill|count|tag|break|metro", re.I)
_TIME: Final = re.compile(r"^\s*Time\s+(\d+)\s*(?:/\s*(\d+))?", re.M | re.I)
_SIGNATURE: Final = re.compile(r"^\s*TimeSig\s+(\d+)[ /]+(\d+)", re.M | re.I)
#: Parts of a style's name, and the tempi (bpm) of such music; the first that fits holds.
_TEMPI: Final = (
    (r"slow|ballad|bald|lullaby|nite|spiritual|hymn|mellow|serenade|ambient", (58.0, 92.0)),
    (r"fast|quick|vien|bebop|polka|bluegrass|punk|thr|metal", (150.0, 210.0)),
    (r"dnb", (164.0, 178.0)),
    (r"trip|hip-?hop|rnb|rb|r\+b|soul|reggae", (74.0, 108.0)),
    (r"techno|house|trance|rave|dance|disco", (116.0, 142.0)),
    (r"", (88.0, 156.0)),
)
#: How MMA writes the qualities that differ from Harte's.
_QUALITIES: Final = {
    "maj": "", "min": "m", "maj7": "M7", "min7": "m7", "hdim7": "m7b5", "maj6": "6", "min6": "m6", "minmaj7": "mM7", "min9": "m9",
    "maj9": "M9", "5": "5", "7": "7", "9": "9", "sus4": "sus4", "sus2": "sus2", "dim": "dim", "dim7": "dim7", "aug": "aug",
}  # fmt: skip
_NAMES: Final = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")


@dataclass(frozen=True)
class Style:
    """name: `library/style`, without what only numbers it in `kind`. beats: in a bar."""

    name: str
    kind: str
    grooves: tuple[str, ...]
    beats: int


@dataclass(frozen=True)
class Score:
    """What MMA is told, and what follows from it. chords: of each bar, sharing it equally."""

    style: Style
    tempi: tuple[int, ...]
    grooves: tuple[str, ...]
    chords: tuple[tuple[Chord, ...], ...]
    key: Key
    seed: int


def load(folder: Path, rendered: Path) -> list[AnnotatedSong]:
    songs = []
    for style in styles(folder):
        score = composed(style)
        audio = partial(_render, score, folder, rendered / f"{style.name}.flac")
        songs.append(AnnotatedSong("mma", style.name, audio, truth_of(score), split_of("mma", style.kind), style.kind))
    return songs


def styles(folder: Path) -> Iterator[Style]:
    """The styles below a folder that can be believed to mean their quarters as beats, in a fixed order."""
    for path in sorted(folder.resolve().rglob("*.mma")):
        text = path.read_text(encoding="utf-8", errors="replace")
        time, signature = _TIME.search(text), _SIGNATURE.search(text)
        beats, unit = (int(time[1]), int(time[2] or 4)) if time else (4, 4)
        grooves = tuple(dict.fromkeys(name for name in _GROOVE.findall(text) if not _NO_GROOVE.search(name)))
        others = {int(found[1]) for found in _TIME.finditer(text)} - {beats}
        counted = signature is None or (int(signature[1]), int(signature[2])) == (beats, 4)
        if path.stem.lower().startswith(_NO_SONGS) or not grooves or _OTHER_PULSE.search(text):
            continue
        if beats in (2, 3, 4, 5) and unit == 4 and counted and not others:
            yield Style(f"{path.parent.name}/{path.stem}", re.sub(r"\d+$", "", path.stem.lower()), grooves, beats)


def composed(style: Style) -> Score:
    """A minute in this style."""
    rng = random.Random(f"performia/mma/{style.name}")
    slowest, fastest = next(tempi for part, tempi in _TEMPI if re.search(part, style.kind))
    tempo = rng.uniform(slowest, fastest)
    wanders = rng.choice((0.0, 0.0, 0.02, 0.04))
    number = round(_LASTS_SEC * tempo / 60 / style.beats)
    parts = -(-number // _BARS_A_PART)
    tempi = [int(tempo * (1 + rng.uniform(-wanders, wanders))) for _ in range(parts)]  # all that MMA reads
    wanted = 3 if style.beats == 3 else 4
    progressions = sorted({text for made in STYLES.values() if made.meter == wanted for text in made.progressions})
    first = rng.choice(progressions)
    minor = _is_minor(first)
    second = rng.choice([text for text in progressions if _is_minor(text) == minor])
    key = Key(rng.randrange(12), "minor" if minor else "major")
    slow = rng.random() < 0.2  # each bar twice
    chords: list[tuple[Chord, ...]] = []
    for part in range(parts):
        bars = [tuple(parsed(name, key) for name in bar[: style.beats]) for bar in bars_of(second if part % 4 == 2 else first)]
        bars = [bar for bar in bars for _ in range(1 + slow)]
        chords += [bars[bar % len(bars)] for bar in range(_BARS_A_PART)]
    variants = rng.sample(style.grooves, min(2, len(style.grooves)))
    grooves = [variants[(part % 4 == 2) % len(variants)] for part in range(parts)]
    return Score(style, tuple(tempi), tuple(grooves), tuple(chords), key, rng.randrange(1 << 30))


def truth_of(score: Score) -> Annotations:
    """Beats, bars, chords and key as written, of what is rendered."""
    edges: list[float] = [0.0]
    for bar in range(len(score.chords)):
        edges.append(edges[-1] + score.style.beats * 60 / score.tempi[bar // _BARS_A_PART])
    beats = [start + (end - start) * beat / score.style.beats for start, end in pairwise(edges) for beat in range(score.style.beats)]
    spans: list[Span] = []
    for bar, (start, end) in enumerate(pairwise(edges)):
        places = _places(score.style.beats, len(score.chords[bar]))
        borders = [start + (end - start) * place / score.style.beats for place in (*places, score.style.beats)]
        for (at, until), chord in zip(pairwise(borders), score.chords[bar], strict=True):
            if spans and spans[-1].label == chord.label:
                spans[-1] = Span(spans[-1].start, until, chord.label)
            else:
                spans.append(Span(at, until, chord.label))
    times, downbeats = (tuple(round(time, 4) for time in found if time < _LASTS_SEC) for found in (beats, edges))
    keys = (Span(0.0, _LASTS_SEC, score.key.label),)
    spans = [Span(span.start, min(span.end, _LASTS_SEC), span.label) for span in spans if span.start < _LASTS_SEC]
    return Annotations(times, downbeats, score.style.beats, tempo_of(times), keys=keys, chords=tuple(spans), words=())


def as_mma(score: Score, folder: Path) -> str:
    """The song as MMA reads it."""
    lines = [f"RndSeed {score.seed}", f"SetLibPath {folder.resolve()}", f"Use {score.style.name}", f"KeySig {_key_signature(score.key)}"]
    for bar, chords in enumerate(score.chords):
        part, first = divmod(bar, _BARS_A_PART)
        if first == 0:
            lines += [f"Tempo {score.tempi[part]}", f"Groove {score.grooves[part]}"]
        beats = ["/"] * score.style.beats
        for place, chord in zip(_places(score.style.beats, len(chords)), chords, strict=True):
            beats[place] = _name(chord)
        lines.append(f"{bar + 1} " + " ".join(beats))
    return "\n".join(lines) + "\n"


def _places(beats: int, chords: int) -> list[int]:
    return [beats * number // chords for number in range(chords)]


def _name(chord: Chord) -> str:
    bass = f"/{_NAMES[chord.bass_class]}" if chord.bass else ""
    return _NAMES[chord.root] + _QUALITIES[chord.quality] + bass


def _key_signature(key: Key) -> str:
    fifths = (key.tonic * 7 + (0 if not key.is_minor else 9)) % 12
    return f"{fifths}#" if fifths <= 6 else f"{12 - fifths}b"


def _is_minor(progression: str) -> bool:
    return any(name.startswith(("1:min", "1:5")) for name in chain.from_iterable(bars_of(progression)))


def _render(score: Score, folder: Path, target: Path) -> Path:
    rng = random.Random(score.seed)
    notes = target.with_suffix(".mid")
    if not notes.exists():
        program = shutil.which("mma")
        if program is None:
            raise EvaluationDataUnusable("MMA is missing, so that its styles cannot be played", "Install mma, which Debian has")
        with whole(notes) as temporary:
            text, made = temporary.with_suffix(".mma"), temporary.with_suffix(".mid")
            text.write_text(as_mma(score, folder), encoding="utf-8")
            try:
                done = subprocess.run([program, "-w", "-f", str(made), str(text)], capture_output=True, text=True, check=False)
                if done.returncode or not made.exists():
                    raise EvaluationDataUnusable(f"MMA cannot play {score.style.name}: {done.stdout.strip()[-200:]}")
                made.replace(temporary)
            finally:
                text.unlink(missing_ok=True)
                made.unlink(missing_ok=True)
    return render_file(mido.MidiFile(notes), target, rng.randrange(3), _LASTS_SEC, round(rng.uniform(-9.0, -0.5), 1), font_folder(folder))
