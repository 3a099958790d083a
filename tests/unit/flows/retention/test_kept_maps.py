"""What the kept Song Maps still need of the artifact store."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from flows.retention.kept_maps import KeptMaps


@pytest.fixture
def stem(tmp_path: Path) -> tuple[str, Path]:
    """A stem beside a Song Map that names it: the hash of its samples, and its file."""
    samples = np.linspace(-0.5, 0.5, 2000, dtype="<f4").reshape(-1, 2)
    sha256 = hashlib.sha256(samples.tobytes()).hexdigest()
    folder = tmp_path / "songs" / "a"
    (folder / "stems").mkdir(parents=True)
    soundfile.write(folder / "stems" / "vocals.wav", samples, 44100, subtype="FLOAT")
    write_map(folder, {"stems": [{"sha256": sha256, "path": "stems/vocals.wav"}], "source": {"audio_sha256": "decoded"}})
    return sha256, folder / "stems" / "vocals.wav"


def write_map(folder: Path, document: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "song_map.json").write_text(json.dumps(document))


def test_a_stem_with_a_whole_copy_beside_its_map_is_not_needed(stem: tuple[str, Path], tmp_path: Path) -> None:
    maps = KeptMaps([tmp_path])
    assert (maps.count, maps.need(stem[0]), maps.need("decoded")) == (1, False, False)


def test_what_was_analysed_in_the_place_of_the_decode_is_named_too(tmp_path: Path) -> None:
    write_map(tmp_path / "song", {"stems": [], "source": {"audio_sha256": "decoded", "analysed_sha256": "raised"}})
    maps = KeptMaps([tmp_path], all_audio=True)
    assert (maps.need("decoded"), maps.need("raised"), maps.need("other")) == (True, True, False)


@pytest.mark.parametrize("harm", ["missing", "damaged", "other"])
def test_the_last_whole_copy_is_needed(harm: str, stem: tuple[str, Path], tmp_path: Path) -> None:
    sha256, file = stem
    if harm == "missing":
        file.unlink()
    elif harm == "damaged":
        file.write_bytes(file.read_bytes()[:100])
    else:
        soundfile.write(file, np.zeros((10, 2), np.float32), 44100, subtype="FLOAT")
    assert KeptMaps([tmp_path]).need(sha256)


@pytest.mark.parametrize("harm", [None, "missing", "damaged"])
def test_a_stem_in_another_format_is_a_copy_where_its_file_is_as_it_was_written(
    harm: str | None, stem: tuple[str, Path], tmp_path: Path
) -> None:
    sha256, file = stem
    flac = file.with_suffix(".flac")
    soundfile.write(flac, soundfile.read(file)[0], 44100, subtype="PCM_16")
    known = {
        "sha256": sha256,
        "path": "stems/vocals.flac",
        "format": "flac16",
        "file_sha256": hashlib.sha256(flac.read_bytes()).hexdigest(),
    }
    write_map(file.parents[1], {"stems": [known], "source": {"audio_sha256": "decoded"}})
    if harm == "missing":
        flac.unlink()
    elif harm == "damaged":
        flac.write_bytes(flac.read_bytes()[:-1])
    assert KeptMaps([tmp_path]).need(sha256) == (harm is not None)


def test_all_audio_of_a_map_is_needed_where_that_is_asked_for(stem: tuple[str, Path], tmp_path: Path) -> None:
    maps = KeptMaps([tmp_path], all_audio=True)
    assert maps.need(stem[0])
    assert maps.need("decoded")
    assert not maps.need("foreign")


@pytest.mark.parametrize("document", [[], {}, {"stems": 3}, {"stems": [{}]}, "text"])
def test_what_is_no_song_map_needs_nothing(document: Any, tmp_path: Path) -> None:
    write_map(tmp_path / "x", document)
    maps = KeptMaps([tmp_path], all_audio=True)
    assert (maps.count, maps.unreadable) == (1, [])
    assert not maps.need("decoded")
