"""The stems as files: every format, and they still add up to the song."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from odd_songs import song_of
from sounding import sounding

from schemas.sound_format import SoundFormat
from tasks.common.errors import ExportNeedsSound
from tasks.export.files import write_exports
from tasks.export.formats import format_named
from tasks.export.options import ExportOptions
from tasks.export.song import Song
from tasks.export.stems import files

NAMES = ["vocals", "drums", "bass", "other", "instrumental"]
#: How far the sum of four stems may be from the song: each adds less than its own largest error.
MOST = {
    SoundFormat.flac16: 4 * 1.5 * 2**-15,
    SoundFormat.wav16: 4 * 1.5 * 2**-15,
    SoundFormat.flac24: 4 * 0.5 * 2**-23,
    SoundFormat.wav24: 4 * 0.5 * 2**-23,
    SoundFormat.wav_float: 0.0,
}


@pytest.mark.parametrize("form", MOST)
@pytest.mark.parametrize("level", [0.3, 1.7])
def test_the_stems_add_up_to_the_song(level: float, form: SoundFormat, tmp_path: Path) -> None:
    song, mix = sounding("waltz", tmp_path, level=level)
    found = dict(files(song, ExportOptions(sound_format=form)))
    assert list(found) == [f"{name}.{form.ending}" for name in NAMES]
    sounds = {name.partition(".")[0]: soundfile.read(io.BytesIO(content))[0] for name, content in found.items()}
    highest = max(np.abs(soundfile.read(song.stem(stem.name))[0]).max() for stem in song.map.stems)
    gain = 1.0 if form is SoundFormat.wav_float else 10 ** (np.floor(min(0.0, -2000 * np.log10(highest))) / 2000)
    assert (gain < 1) == (level > 1 and form is not SoundFormat.wav_float)
    for parts in (("vocals", "drums", "bass", "other"), ("vocals", "instrumental")):
        assert np.abs(sum(sounds[part] for part in parts) - gain * mix).max() <= MOST[form] + 5e-7  # the mix is 32-bit floats
    assert max(np.abs(sound).max() for sound in sounds.values()) <= (1.0 if form is not SoundFormat.wav_float else np.inf)


@pytest.mark.parametrize("form", [SoundFormat.mp3, SoundFormat.opus])
def test_a_lossy_stem_is_as_long_as_the_song(form: SoundFormat, tmp_path: Path) -> None:
    song, mix = sounding("waltz", tmp_path)
    name, content = next(files(song, ExportOptions(sound_format=form)))
    sound, rate = soundfile.read(io.BytesIO(content))
    assert name == f"vocals.{form.ending}"
    assert len(sound) / rate == pytest.approx(len(mix) / 44100, abs=1 / 44100)


def test_a_stem_that_is_in_the_format_already_is_as_it_is(tmp_path: Path) -> None:
    song, _ = sounding("waltz", tmp_path)
    found = dict(files(song, ExportOptions(sound_format=SoundFormat.wav_float)))
    assert found["vocals.wav"] == song.stem("vocals").read_bytes()


def test_the_command_gets_a_folder_and_the_service_a_zip(tmp_path: Path) -> None:
    song, _ = sounding("waltz", tmp_path / "song")
    entry = format_named("stems")
    written = list(write_exports(song, [entry], ExportOptions(), tmp_path / "out", "Waltz"))
    assert [one.file for one in written] == [tmp_path / "out" / "Waltz.stems" / f"{name}.flac" for name in NAMES]
    with zipfile.ZipFile(io.BytesIO(entry.content(song, ExportOptions()))) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            one.file.name: one.file.read_bytes() for one in written if one.file
        }


def test_a_song_without_stems_says_so(tmp_path: Path) -> None:
    song_map = song_of("plain")
    with pytest.raises(ExportNeedsSound, match="no stems"):
        list(files(Song(song_map.model_copy(update={"stems": ()}), tmp_path), ExportOptions()))
    with pytest.raises(ExportNeedsSound, match="not there any more"):
        list(files(Song(song_map, tmp_path), ExportOptions()))


def test_a_damaged_stem_is_told(tmp_path: Path) -> None:
    song, _ = sounding("waltz", tmp_path)
    song.stem("bass").write_bytes(b"")
    with pytest.raises(ExportNeedsSound, match="damaged"):
        list(files(song, ExportOptions()))
