"""Sonifications: the chords and notes of the map sound, at their times, over the song."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from odd_songs import SONGS, song_of
from sounding import RATE, sounding

from schemas.sound_format import SoundFormat
from tasks.common.errors import ExportNeedsSound, ExportNothingToWrite
from tasks.common.harmony import harte, spelling
from tasks.export.formats import format_named
from tasks.export.options import ExportOptions
from tasks.export.song import Song
from tasks.export.tones import tones_of, write

FLOATS = ExportOptions(sound_format=SoundFormat.wav_float)


def added(song: Song, mix: np.ndarray, options: ExportOptions = FLOATS) -> np.ndarray:
    """What a sonification adds to the song, in mono."""
    samples = soundfile.read(io.BytesIO(write(song, options)), always_2d=True)[0]
    assert samples.shape == mix.shape
    left, right = (samples - mix).T
    assert np.abs(left - right).max() < 1e-6
    return left


def pitches_in(samples: np.ndarray, lowest: int = 36, highest: int = 76) -> set[int]:
    """MIDI notes whose fundamentals sound: at least a quarter as strong as the strongest."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 18))
    frequencies = np.arange(len(spectrum)) * RATE / (1 << 18)
    levels = {}
    for midi in range(lowest, highest + 1):
        pitch = 440 * 2 ** ((midi - 69) / 12)
        levels[midi] = spectrum[np.abs(frequencies - pitch) < pitch * 0.012].max()
    return {midi for midi, level in levels.items() if level > 0.25 * max(levels.values())}


@pytest.mark.parametrize("name", ["instrumental", "changing", "six_eight"])
def test_a_chord_sounds_as_its_pitch_classes_and_its_bass(name: str, tmp_path: Path) -> None:
    song, mix = sounding(name, tmp_path)
    song = Song(song.map.model_copy(update={"performance": song.map.performance.model_copy(update={"melody": (), "bass": ()})}), tmp_path)
    tones = added(song, mix)
    for chord in song.map.chords:
        piece = tones[round(chord.start * RATE) + 500 : round(chord.end * RATE) - 1200]
        parts = harte.parse(chord.label)
        if parts is None:
            assert not piece.any() or np.abs(piece).max() < 1e-6
            continue
        root = spelling.pitch_class(parts.root)
        heard = pitches_in(piece)
        assert {pitch % 12 for pitch in heard if pitch >= 57} >= {(root + tone) % 12 for tone in harte.tones(parts.quality)}
        assert min(heard) % 12 == spelling.pitch_class(parts.bass_note or parts.root)
        assert min(heard) < 52


def test_the_notes_of_the_melody_sound_at_their_times(tmp_path: Path) -> None:
    song, mix = sounding("no_chords", tmp_path)
    tones = added(song, mix)
    melody = song.map.performance.melody
    for note in melody:
        piece = tones[round(note.start * RATE) : round(note.end * RATE)]
        assert note.midi in pitches_in(piece[300:-1100])
        assert np.abs(piece).max() > 0.01
    silent = np.ones(len(tones), bool)
    for note in melody:
        silent[round(note.start * RATE) : round(note.end * RATE)] = False
    assert np.abs(tones[silent]).max() < 1e-6


@pytest.mark.parametrize("level", [-12.0, 0.0, 6.0])
def test_the_tones_are_as_loud_against_the_song_as_asked_for(level: float, tmp_path: Path) -> None:
    song, mix = sounding("plain", tmp_path, level=0.1)
    # Floats below full scale are not made quieter; this mix with its tones is.
    samples = soundfile.read(io.BytesIO(write(song, ExportOptions(sound_format=SoundFormat.wav_float, tones_db=level))))[0]
    gain = np.linalg.lstsq(mix[-2000:, :1], samples[-2000:, 0], rcond=None)[0][0]
    tones = samples / gain - mix
    assert 20 * np.log10(np.sqrt(np.mean(tones**2) / np.mean(mix**2))) == pytest.approx(level, abs=0.05)
    assert np.abs(samples).max() <= 1.0


def test_the_tones_are_tuned_as_the_song_is(tmp_path: Path) -> None:
    song_map = song_of("plain")
    notes = tuple(note.model_copy(update={"cents": -30.0}) for note in song_map.performance.bass)
    song_map = song_map.model_copy(update={"performance": song_map.performance.model_copy(update={"bass": notes})})
    assert {round(tone.midi % 1, 6) for tone in tones_of(song_map)} == {0.7}


def test_a_transposed_export_keeps_its_tones_in_the_key_of_the_sound(tmp_path: Path) -> None:
    song, _ = sounding("waltz", tmp_path)
    entry = format_named("sonification")
    assert entry.content(song, ExportOptions(transpose=3)) == entry.content(song, ExportOptions())


@pytest.mark.parametrize("name", [name for name in SONGS if name != "long"])
def test_every_kind_of_song_is_played_or_says_why_not(name: str) -> None:
    song = Song(song_of(name))
    with pytest.raises(ExportNothingToWrite if not song.map.chords and not song.map.performance.melody else ExportNeedsSound):
        write(song, ExportOptions())


def test_a_silent_song_has_its_tones_too(tmp_path: Path) -> None:
    song, mix = sounding("waltz", tmp_path)
    soundfile.write(tmp_path / "mix.wav", np.zeros_like(mix), RATE, subtype="FLOAT")
    samples = soundfile.read(io.BytesIO(write(Song(song.map, mix=tmp_path / "mix.wav"), ExportOptions())))[0]
    assert np.abs(samples).max() > 0.1
