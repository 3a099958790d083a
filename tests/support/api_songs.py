"""Songs in the output folder, for tests of the HTTP API."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from schemas.song_folder import MAP_NAME, TIMELINE_NAME, stem_path
from schemas.sound_format import SoundFormat
from tasks.common import audio_forms
from tasks.common.settings import Settings

EXAMPLE = Path(__file__).parents[1] / "unit" / "packager" / "golden" / "song_map.json"
RATE = 44100


@dataclass
class Songs:
    """Writes songs into the output folder as the packager does. Each has stems of half a second."""

    settings: Settings
    stems: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)

    def put(
        self,
        folder: str = "a",
        stems: bool = True,
        form: SoundFormat = SoundFormat.wav_float,
        gain_db: float = 0.0,
        level: float = 1.0,
        **facts: Any,
    ) -> dict[str, Any]:
        """A song's folder; returns its map. form, gain_db: of the stems' files. facts: in place of the golden map's; `tags` beside them."""
        document: dict[str, Any] = json.loads(EXAMPLE.read_text(encoding="utf-8"))
        document["id"] = hashlib.sha256(folder.encode()).hexdigest()[:16]
        document["duration_sec"] = 0.5
        document["source"]["tags"] |= facts.pop("tags", {})
        document["source"]["audio_sha256"] = hashlib.sha256(folder.encode()).hexdigest()
        document |= facts
        place = self.settings.songs_dir / folder
        place.mkdir(parents=True, exist_ok=True)
        for number, stem in enumerate(document["stems"]):
            stem["sha256"] = hashlib.sha256(f"{folder} {stem['name']}".encode()).hexdigest()
            if stems:
                path = place / stem_path(stem["name"], form)
                path.parent.mkdir(exist_ok=True)
                samples = level * 0.1 * (number + 1) * np.sin(np.arange(RATE // 2) * 0.05 * (number + 1))
                self.stems[stem["name"]] = np.stack([samples, samples], axis=1).astype(np.float32)
                soundfile.write(path, self.stems[stem["name"]], RATE, subtype="FLOAT", format="WAV")
                if form is not SoundFormat.wav_float:
                    floats = path.rename(path.with_suffix(".floats"))
                    audio_forms.encode(floats, path, form, gain_db)
                    floats.unlink()
                    file_sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
                    stem |= {"path": stem_path(stem["name"], form), "format": form.value, "file_sha256": file_sha256}
                    document["stems_gain_db"] = gain_db
        (place / TIMELINE_NAME).write_text("<svg xmlns='http://www.w3.org/2000/svg'/>", encoding="utf-8")
        (place / MAP_NAME).write_text(json.dumps(document), encoding="utf-8")
        return document
