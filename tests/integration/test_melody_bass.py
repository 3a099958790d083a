"""The melody and the bass line of the demo song, from stems separated with the models that wheels carry."""

from __future__ import annotations

import json
from pathlib import Path

import mir_eval
import numpy as np
import pytest
import soundfile

from schemas.plan import EngineChoice, StepPlan
from schemas.results import SongSource, StepReport
from tasks.common.audio import WavWriter
from tasks.common.settings import get_settings
from tasks.common.step import StepContext
from tasks.common.storage.artifacts import ArtifactStore
from tasks.melody_bass.track_notes import track_bass, track_melody
from tasks.separation.separate import separate_song

DEMO = Path(__file__).parent.parent / "demo_song"
#: Up to the end of the first chorus; what follows is played alike, and heard whole in test_demo_song.
SECONDS = 43


@pytest.fixture(scope="module")
def stems(tmp_path_factory):
    """(context, source, stems) of half of the demo song, in a store that lasts for this module."""
    folder = tmp_path_factory.mktemp("demo")
    store = ArtifactStore(str(folder / "store"), folder / "scratch")
    ctx = StepContext(store=store, settings=get_settings())
    samples, rate = soundfile.read(DEMO / "demo_song.ogg", frames=SECONDS * 44100, dtype="float32", always_2d=True)
    with store.temporary_dir() as temporary_dir:
        with WavWriter(temporary_dir / "demo.wav", rate) as out:
            out.write(samples.T)
        ref = store.add(out.path, out.ref())
    source = SongSource.model_construct(report=StepReport(step="ingest"), audio=ref, duration_sec=ref.duration_sec)
    return ctx, source, separate_song(source, StepPlan(step="separation", chain=(EngineChoice(engine="spleeter"),)), ctx)


def f_measure(part, reference, onset_tolerance):
    intervals = np.array([[note["start"], note["end"]] for note in reference])
    pitches = np.array([note["midi"] for note in reference], float)
    found = np.array([[note.start, note.end] for note in part.notes])
    midi = np.array([note.midi for note in part.notes], float)
    hz = [440 * 2 ** ((values - 69) / 12) for values in (pitches, midi)]
    scores = mir_eval.transcription.precision_recall_f1_overlap(
        intervals, hz[0], found, hz[1], onset_tolerance=onset_tolerance, offset_ratio=None
    )
    return scores[2]


def annotations():
    truth = json.loads((DEMO / "demo_song.json").read_text())
    return {part: [note for note in truth[part] if note["end"] <= SECONDS] for part in ("melody", "bass")}


# The song is annotated where vowels begin, and notes are found where voicing does, about 50 ms earlier: hence the wider tolerance.
def test_the_melody_of_the_demo_song_is_written_down(stems):
    ctx, source, separated = stems
    part = track_melody(source, separated, StepPlan(step="melody", chain=(EngineChoice(engine="swift-f0"),)), ctx)
    assert f_measure(part, annotations()["melody"], 0.1) >= 0.66
    assert not part.polyphonic


def test_the_bass_of_the_demo_song_is_written_down(stems):
    ctx, source, separated = stems
    part = track_bass(source, separated, StepPlan(step="bass", chain=(EngineChoice(engine="swift-f0"),)), ctx)
    assert f_measure(part, annotations()["bass"], 0.05) >= 0.82


@pytest.mark.slow
def test_pyin_writes_them_down_as_well(stems):
    ctx, source, separated = stems
    melody = track_melody(source, separated, StepPlan(step="melody", chain=(EngineChoice(engine="pyin"),)), ctx)
    bass = track_bass(source, separated, StepPlan(step="bass", chain=(EngineChoice(engine="pyin"),)), ctx)
    assert f_measure(melody, annotations()["melody"], 0.1) >= 0.64
    assert f_measure(bass, annotations()["bass"], 0.05) >= 0.78


def test_a_line_alone_is_read_from_the_recording_and_not_from_an_empty_vocal_stem(stems):
    ctx, _, separated = stems
    source = SongSource.model_construct(
        report=StepReport(step="ingest"), audio=separated.vocals, duration_sec=separated.vocals.duration_sec
    )
    silent = separated.model_copy(update={"vocals": silence(ctx, separated.vocals)})
    part = track_melody(source, silent, StepPlan(step="melody", chain=(EngineChoice(engine="swift-f0"),)), ctx)
    assert f_measure(part, annotations()["melody"], 0.1) >= 0.66
    assert any("one line alone" in warning for warning in part.report.warnings)


def silence(ctx, like):
    with ctx.store.temporary_dir() as temporary_dir:
        with WavWriter(temporary_dir / "silence.wav") as out:
            out.write(np.zeros((2, like.frames), np.float32))
        return ctx.store.add(out.path, out.ref())
