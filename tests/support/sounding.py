"""Songs with sound: a Song Map of `odd_songs` in a folder, with stems that add up to a mix."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import soundfile
from odd_songs import song_of

from schemas.song_folder import MAP_NAME
from schemas.song_map import SongMap
from tasks.export.song import Song

RATE = 44100


def sounding(name: str, folder: Path, level: float = 0.3, changes: dict[str, object] | None = None) -> tuple[Song, np.ndarray]:
    """A song with its folder, and its mix (frames, 2): another tone in each channel, with noise.

    The voice is `level` loud at its peaks, and the rest what the mix lacks of it. changes: in place of the map's own fields.
    """
    song_map: SongMap = song_of(name).model_copy(update=changes or {})
    frames = round(song_map.duration_sec * RATE)
    noise = np.random.default_rng(5)
    time = np.arange(frames) / RATE
    mix = 0.2 * np.stack([np.sin(2 * np.pi * 311 * time), np.sin(2 * np.pi * 523 * time)], axis=1) + 0.02 * noise.standard_normal(
        (frames, 2)
    )
    mix = mix.astype(np.float32)
    voice = (level * np.sin(2 * np.pi * 200 * time)[:, None] * np.ones((1, 2))).astype(np.float32)
    rest = mix - voice
    sounds = {"vocals": voice, "drums": rest / 2, "bass": rest / 4, "other": rest / 4, "instrumental": rest}
    stems = []
    for stem in song_map.stems:
        assert stem.path is not None
        path = folder / stem.path
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sounds[stem.name], RATE, subtype="FLOAT")
        stems.append(stem.model_copy(update={"sha256": hashlib.sha256(sounds[stem.name].astype("<f4").tobytes()).hexdigest()}))
    song_map = song_map.model_copy(update={"stems": tuple(stems)})
    (folder / MAP_NAME).write_text(song_map.to_json(), encoding="utf-8")
    return Song(song_map, folder), mix
