"""Bars and what they sound like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from schemas.results import Chord
from tasks.common.numba_cache import import_librosa
from tasks.structure import features
from tasks.structure.chord_tones import chord_chroma
from tasks.structure.detect import with_chords
from tasks.structure.features import bar_edges, measure_bars

RATE = 44100


def tones(path: Path, midi: list[int], sec: float = 2.0, gain: float = 0.3) -> Path:
    """One note a bar."""
    time = np.arange(int(sec * RATE)) / RATE
    parts = [gain * np.sin(2 * np.pi * 440 * 2 ** ((note - 69) / 12) * time) for note in midi]
    soundfile.write(path, np.column_stack([np.concatenate(parts)] * 2), RATE, subtype="FLOAT")
    return path


def test_bars_cover_the_song_and_stubs_are_joined() -> None:
    edges = bar_edges([0.2, 2.2, 4.2, 6.2, 8.2], 8.5)
    np.testing.assert_allclose(edges, [0.0, 2.2, 4.2, 6.2, 8.5])


def test_time_before_the_first_downbeat_is_cut_into_bars() -> None:
    np.testing.assert_allclose(bar_edges([6.0, 8.0, 10.0], 16.5), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.5])


@pytest.mark.parametrize("downbeats", [[], [3.0]])
def test_without_a_grid_bars_are_two_seconds(downbeats: list[float]) -> None:
    np.testing.assert_allclose(bar_edges(downbeats, 10.0), [0, 2, 4, 6, 8, 10])


def test_harmony_shows_the_sounding_pitch_class(tmp_path: Path) -> None:
    path = tones(tmp_path / "a.wav", [60, 64, 67, 60])
    bars = measure_bars(path, [path], [path], np.array([0.0, 2, 4, 6, 8]), None)
    assert [int(np.argmax(row.reshape(4, 12).sum(axis=0))) for row in bars.harmony] == [0, 4, 7, 0]
    assert np.isnan(bars.vocal).all()
    np.testing.assert_allclose(np.linalg.norm(bars.harmony.reshape(-1, 12), axis=1), 1.0)


def test_levels_are_rms_in_decibels_and_silence_has_a_floor(tmp_path: Path) -> None:
    loud, silent = tones(tmp_path / "a.wav", [60, 60], gain=0.5), tones(tmp_path / "b.wav", [60, 60], gain=0.0)
    bars = measure_bars(loud, [loud], [loud, silent], np.array([0.0, 2, 4]), [(1.0, 3.0)])
    np.testing.assert_allclose(bars.level_db[:, 0], 20 * np.log10(0.5 / np.sqrt(2)), atol=0.05)
    np.testing.assert_allclose(bars.level_db[:, 1], -80.0)
    np.testing.assert_allclose(bars.vocal, [0.5, 0.5])


def test_blocks_give_the_same_features_as_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tones(tmp_path / "a.wav", [60, 64, 67, 65])
    edges = np.array([0.0, 2, 4, 6, 8])
    whole = measure_bars(path, [path], [], edges, None)
    monkeypatch.setattr(features, "_BLOCK_FRAMES", 100)
    blocks = measure_bars(path, [path], [], edges, None)
    np.testing.assert_allclose(blocks.harmony, whole.harmony, atol=0.02)
    np.testing.assert_allclose(blocks.timbre, whole.timbre, atol=0.5)


def test_timbre_and_harmony_are_what_librosa_hears() -> None:
    librosa = import_librosa()
    rng = np.random.default_rng(2)
    sound = (0.1 * rng.standard_normal(2 * features.SAMPLE_RATE) * np.linspace(0, 1, 2 * features.SAMPLE_RATE) ** 2).astype(np.float32)
    power = librosa.feature.melspectrogram(y=sound, sr=22050, hop_length=512, n_fft=2048, n_mels=64)
    mfcc = librosa.feature.mfcc(S=librosa.power_to_db(power, ref=1.0, top_db=None, amin=1e-8), n_mfcc=14)
    np.testing.assert_allclose(features._mfcc(sound), mfcc[1:], atol=1e-4)
    chroma = librosa.feature.chroma_cqt(y=sound, sr=22050, hop_length=512, tuning=0.0)
    np.testing.assert_allclose(features._chroma(sound), chroma, atol=1e-5)
    assert not features._chroma(np.zeros(4096, np.float32)).any()


def a_chord(start: float, end: float, root: str | None, quality: str | None) -> Chord:
    return Chord(
        start=start,
        end=end,
        label="N" if root is None else f"{root}:{quality}",
        display="",
        root=root,
        quality=quality,
        bass=None,
        confidence=0.9,
        start_beat=None,
        end_beat=None,
    )


def test_chord_tones_follow_the_chord_that_sounds() -> None:
    chords = (a_chord(0, 2, "Bb", "min7"), a_chord(2, 4, None, None))
    chroma = chord_chroma(chords, np.array([0.5, 1.9, 2.1]))
    assert set(np.nonzero(chroma[0])[0]) == {10, 1, 5, 8}
    np.testing.assert_array_equal(chroma[0], chroma[1])
    assert not chroma[2].any()
    assert not chord_chroma((), np.array([1.0])).any()


def test_recognised_chords_sharpen_the_harmony(tmp_path: Path) -> None:
    path = tones(tmp_path / "a.wav", [60, 60])
    bars = measure_bars(path, [path], [], np.array([0.0, 2, 4]), None)
    chords = (a_chord(0, 2, "F", "maj"), a_chord(2, 4, "C", "maj"))
    mixed = with_chords(bars, chords).harmony.reshape(2, 4, 12)
    assert mixed[0, 0, 5] > 0.3
    assert mixed[1, 0, 5] < 0.1
