"""What tells where beats and bars are, from sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from schemas.results import Chord, Chords, StepReport
from tasks.beats_key.evidence import Harmony, HeardChords, find_harmony, gather, rise, strongest_near

RATE = 44100


def write(folder: Path, samples: np.ndarray) -> Path:
    path = folder / "song.wav"
    soundfile.write(path, np.stack([samples, samples], axis=1).astype(np.float32), RATE, subtype="FLOAT")
    return path


def test_harmony_changes_where_chords_do_and_says_nothing_in_silence() -> None:
    chroma = np.zeros((12, 200))
    chroma[0, :80] = chroma[7, 80:160] = 1.0
    harmony = Harmony(chroma, chroma, 20.0)
    change = harmony.change(harmony.chroma_sums, np.array([2.0, 4.0, 9.5]), np.full(3, 1.0))
    np.testing.assert_allclose(change[:2], [0.0, 1.0], atol=1e-9)
    assert np.isnan(change[2])


def test_the_strongest_value_near_a_time() -> None:
    strength = np.zeros(100)
    strength[[20, 52]] = 1.0, 0.5
    np.testing.assert_allclose(strongest_near(strength, np.array([0.2, 0.5, 0.8, 5.0])), [1.0, 0.5, 0.0, 0.0])
    np.testing.assert_allclose(strongest_near(np.zeros(0), np.array([0.2])), [0.0])


def test_a_level_that_rises_has_an_onset_and_one_that_falls_has_none() -> None:
    np.testing.assert_allclose(rise(np.array([0.0, 0.0, 1.0, 1.0, 0.0])), [0.0, 0.0, 1.5, 0.5, 0.0])
    assert rise(np.zeros(0)).size == 0


def test_chords_are_read_with_their_roots_and_kinds() -> None:
    labels = ["N", "C:maj", "F#:min7", "Bb:7", "G:hdim7", "E:sus4", "A:5", "D:minmaj7"]
    chords = tuple(
        Chord(
            start=float(i),
            end=i + 1.0,
            label=label,
            display=label,
            root=None,
            quality=None,
            bass=None,
            confidence=0.5,
            start_beat=None,
            end_beat=None,
        )
        for i, label in enumerate(labels)
    )
    heard = HeardChords.of(Chords(report=StepReport(step="chords"), chords=chords))
    assert heard.roots.tolist() == [-1, 0, 6, 10, 7, 4, 9, 2]
    assert [["maj", "dom", "min", "dim", "aug", "sus", "open"][kind] for kind in heard.kinds[1:]] == [
        "maj",
        "min",
        "dom",
        "dim",
        "sus",
        "open",
        "min",
    ]
    assert heard.changes.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    assert HeardChords.of(None).starts.size == HeardChords.of(None).changes.size == 0


def test_the_evidence_of_a_file(tmp_path: Path) -> None:
    time = np.arange(4 * RATE) / RATE
    note = 0.2 * np.sin(2 * np.pi * np.where(time < 2, 110.0, 146.83) * time)  # A2, then D3
    thump = np.zeros(len(time))
    thump[RATE : RATE + 4000] = 0.8 * np.sin(2 * np.pi * 60 * time[:4000]) * np.exp(-time[:4000] * 40)
    found = gather(write(tmp_path, note + thump), np.zeros((400, 2), np.float32), None)
    assert abs(int(found.onsets["kick"].argmax()) - 100) <= 3
    assert {name: len(onsets) for name, onsets in found.onsets.items()} == dict.fromkeys(found.levels, 400)
    at = round(found.harmony.fps)
    assert (found.harmony.bass[:, at // 2].argmax(), found.harmony.bass[:, 3 * at].argmax()) == (9, 2)


def test_silence_and_less_than_a_window_have_an_empty_harmony(tmp_path: Path) -> None:
    for samples in (np.zeros(RATE), np.zeros(300)):
        assert not find_harmony(write(tmp_path, samples)).chroma.any()
    assert find_harmony(write(tmp_path, 0.1 * np.ones(300))).chroma.shape[0] == 12
