"""The scoreboard with real engines on a real song: a data set is made of the demo song and its exact annotations."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import soundfile

from schemas.results import STEMS
from tasks.common import models
from tasks.evaluation import baselines
from tasks.evaluation.annotations import Annotations, PitchTrack, Span, TimedWord, TrueNote
from tasks.evaluation.pitch_truth import bass_pitch

#: Of the demo song.
SECONDS = 45


def evaluate(folder: Path, api: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **api, "PERFORMIA_DATA_DIR": str(folder / "state"), "COLUMNS": "200"}
    command = [sys.executable, "-m", "deployments.cli.main", "evaluate", "--data", str(folder / "data"), "-o", str(folder / "out"), *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=500, check=False)


@pytest.fixture
def data(tmp_path: Path, demo_song: Path, demo_truth: dict[str, Any]) -> Path:
    place = tmp_path / "data" / "stepmania" / "Demo"
    place.mkdir(parents=True)
    sound, rate = soundfile.read(demo_song, frames=SECONDS * 44100)
    soundfile.write(place / "Demo.ogg", sound, rate)
    downbeats = set(demo_truth["downbeats"])
    position, lines = 0, []
    for beat in (time for time in demo_truth["beats"] if time < SECONDS):
        position = 1 if beat in downbeats else position + 1
        lines.append(f"{beat} {position}")
    (place / "derived_beats.txt").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def test_a_song_is_scored_beside_the_baseline_and_compared_with_the_last_time(data: Path, api_environment: dict[str, str]) -> None:
    done = evaluate(data, api_environment)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "beat_f" in done.stdout
    found = json.loads((data / "out" / "results.json").read_text(encoding="utf-8"))
    means = {mean["metric"]: mean for mean in found["means"]}
    assert means["beat_f"]["ours"] >= 0.97
    assert means["beat_f"]["baseline"] >= 0.9
    assert found["engines"] == {"beats_key": "madmom (madmom)"}
    assert "## Calibration" in (data / "out" / "report.md").read_text(encoding="utf-8")

    # Had it been better before, it would be a loss.
    found["songs"][0]["steps"]["beats_key"]["figures"]["beat_f"] = 1.5
    (data / "out" / "results.json").write_text(json.dumps(found), encoding="utf-8")
    again = evaluate(data, api_environment)
    assert again.returncode == 1
    assert "**loss**" in again.stderr


def test_what_cannot_be_evaluated_is_named(tmp_path: Path, api_environment: dict[str, str]) -> None:
    (tmp_path / "data").mkdir()
    nothing = evaluate(tmp_path, api_environment)
    assert nothing.returncode == 1
    assert "EVALUATION_DATA_NOT_FOUND" in nothing.stderr
    half = evaluate(tmp_path, api_environment, "--split", "third")
    assert half.returncode != 0
    assert "choose, check" in half.stderr
    wrong = evaluate(tmp_path, api_environment, "--steps", "dance")
    assert wrong.returncode != 0
    assert "OPTION_INVALID" in wrong.stderr
    assert "Traceback" not in nothing.stderr + wrong.stderr


@pytest.fixture(scope="module")
def excerpt(demo_song: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds of the demo song, with voice."""
    sound, rate = soundfile.read(demo_song, always_2d=True)
    file = tmp_path_factory.mktemp("excerpt") / "excerpt.wav"
    soundfile.write(file, sound[17 * rate : 29 * rate], rate, subtype="FLOAT")
    return file


@pytest.mark.slow
def test_the_off_the_shelf_parts_give_the_steps_figures(excerpt: Path, demo_truth: dict[str, Any]) -> None:
    sung = [(max(0.0, c["start"] - 17), min(12.0, c["end"] - 17), c["label"]) for c in demo_truth["chords"]]
    whisper = next(
        model.name for model in models.all_models() if model.name.startswith("whisper-") and models.obtainable(model.name) is None
    )
    song = baselines.Material(excerpt, dict.fromkeys(STEMS, excerpt), whisper)
    truth = Annotations(
        beats=tuple(0.5 * n for n in range(24)),
        downbeats=tuple(2.0 * n for n in range(6)),
        meter=4,
        tempo_bpm=112.0,
        keys=(Span(0, 12, "G major"),),
        chords=tuple(Span(*chord) for chord in sung if chord[1] > chord[0]),
        words=(TimedWord(1, 2, "word"),),
        lines=(TimedWord(1, 2, "word"),),
        language="en",
        melody=(TrueNote(1, 2, 60),),
        sections=(Span(0, 6, "verse"), Span(6, 12, "chorus")),
        stems=dict.fromkeys(STEMS, excerpt),
    )
    figures = {step: run(song, truth) for step, run in baselines.BASELINES.items()}
    assert {"beat_f", "downbeat_f", "tempo_acc1", "meter", "key_weighted"} <= set(figures["beats_key"])
    assert figures["beats_key"]["tempo_acc1"] == 1.0
    assert figures["chords"]["root"] > 0.7
    assert {"wer", "line_f"} <= set(figures["asr"])
    assert {"note_f_100ms", "raw_chroma", "raw_pitch"} <= set(figures["melody"])
    assert {"hr_3s", "pairwise_f"} <= set(figures["structure"])
    # The "voice" is the whole mix here, so nothing is left for the others.
    assert figures["separation"]["sdr_vocals"] > 60
    assert figures["separation"]["residual_db"] < -60
    assert baselines.transcribe(song, Annotations(words=()))["invented_words"] > 0
    assert "raw_pitch" in baselines.bass(song, PitchTrack((1.0, 2.0), (98.0, 0.0)))


def test_the_pitch_of_a_bass_stem_is_tracked_once_and_kept(tmp_path: Path) -> None:
    import numpy as np

    rate = 44100
    time = np.arange(2 * rate) / rate
    sound = np.where(time < 1.0, 0.3 * np.sin(2 * np.pi * 55.0 * time), 0.0)
    soundfile.write(tmp_path / "bass.wav", sound, rate)
    track = bass_pitch(tmp_path / "bass.wav", tmp_path / "kept")
    hertz = np.array(track.hertz)
    times = np.array(track.times)
    assert np.median(hertz[(times > 0.2) & (times < 0.8)]) == pytest.approx(55.0, rel=0.01)
    assert not hertz[times > 1.2].any()
    (kept,) = (tmp_path / "kept").iterdir()
    kept.write_text('{"times": [0.0], "hertz": [1.0]}', encoding="utf-8")
    assert bass_pitch(tmp_path / "bass.wav", tmp_path / "kept").hertz == (1.0,)
