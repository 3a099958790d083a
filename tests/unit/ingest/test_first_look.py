"""A first look at a file that somebody sent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tasks.common.errors import AudioNotAudio, AudioSilent, AudioTooLong, AudioTooShort
from tasks.common.settings import get_settings
from tasks.ingest.first_look import look_into, refuse_beginning

RATE = 8000


def wave(path: Path, seconds: float, level: float = 0.3, **options: object) -> Path:
    tone = level * np.sin(2 * np.pi * 220 * np.arange(int(seconds * RATE)) / RATE)
    soundfile.write(path, tone, RATE, **options)
    return path


def test_a_song_is_known_by_its_sound_whatever_its_tags(tmp_path: Path) -> None:
    song, other = wave(tmp_path / "a.flac", 3.0), wave(tmp_path / "b.flac", 3.0, level=0.2)
    with soundfile.SoundFile(tmp_path / "tagged.flac", "w", RATE, 1, format="FLAC") as tagged:
        tagged.title = "A title"
        tagged.write(soundfile.read(song)[0])
    settings = get_settings()
    looked = look_into(song, settings)
    assert looked.duration_sec == pytest.approx(3.0)
    assert (tmp_path / "tagged.flac").read_bytes() != song.read_bytes()
    assert look_into(tmp_path / "tagged.flac", settings).sound == looked.sound
    assert look_into(other, settings).sound != looked.sound


def test_what_cannot_be_analysed_is_refused(tmp_path: Path) -> None:
    settings = get_settings().model_copy(update={"max_duration_sec": 10.0})
    with pytest.raises(AudioSilent):
        look_into(wave(tmp_path / "silent.wav", 3.0, level=0.0), settings)
    with pytest.raises(AudioTooShort):
        look_into(wave(tmp_path / "short.wav", 0.5), settings)
    with pytest.raises(AudioTooLong):
        look_into(wave(tmp_path / "long.wav", 11.0), settings)
    (tmp_path / "text.wav").write_bytes(b"no song" * 1000)
    with pytest.raises(AudioNotAudio):
        look_into(tmp_path / "text.wav", settings)


def test_a_song_that_begins_in_silence_is_none_that_is_silent(tmp_path: Path) -> None:
    samples = np.concatenate([np.zeros(20 * RATE), 0.3 * np.ones(RATE) * np.sin(np.arange(RATE))])
    soundfile.write(tmp_path / "late.wav", samples, RATE)
    assert look_into(tmp_path / "late.wav", get_settings()).duration_sec == pytest.approx(21.0)


def test_a_beginning_is_refused_only_where_nothing_that_follows_can_mend_it(tmp_path: Path) -> None:
    settings = get_settings()
    for name, content in {"zip": b"PK\x03\x04" + bytes(300_000), "html": b"<html>" * 50_000, "xml": b"<?xml version" * 30_000}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(AudioNotAudio):
            refuse_beginning(tmp_path / name, settings)
    song = wave(tmp_path / "whole.wav", 20.0)
    for kind in ("wav", "flac", "ogg", "mp3"):
        whole = wave(tmp_path / f"whole.{kind}", 20.0, format=kind.upper())
        (tmp_path / f"begun.{kind}").write_bytes(whole.read_bytes()[:2000])
        refuse_beginning(tmp_path / f"begun.{kind}", settings)
    # an index behind the sound, and a picture before it
    for content in (bytes(4) + b"ftypM4A " + bytes(2000), b"ID3\x04\x00\x00\x00\x7f\x7f\x7f" + bytes(2000)):
        (tmp_path / "odd").write_bytes(content)
        refuse_beginning(tmp_path / "odd", settings)
    assert song.exists()
