"""What a song's scores say when a part fails."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.results import AudioRef, Beat, BeatsKey, Chords, MeterSpan, SongSource, StemSet, StepReport, Tempo
from tasks.common.harmony.naming import named_chord
from tasks.evaluation import scoring
from tasks.evaluation.annotations import AnnotatedSong, Annotations, Span
from tasks.evaluation.report import document, markdown

SOUND = AudioRef(sha256="0" * 64, sample_rate=44100, channels=2, frames=44100)


@pytest.fixture
def results() -> dict[str, Any]:
    meter = MeterSpan(start=0, end=1, numerator=4, denominator=4, confidence=1)
    return {
        "ingest": SongSource.model_construct(audio=SOUND),
        "separation": StemSet.model_construct(vocals=SOUND, drums=SOUND, bass=SOUND, other=SOUND),
        "beats_key": BeatsKey(
            report=StepReport(step="beats_key", engine="madmom"),
            beats=(),
            tempo=Tempo(bpm_global=None, confidence=0, curve=(), candidates=()),
            meter=meter,
            meter_changes=(meter,),
            key_spans=(),
            global_key=None,
        ),
    }


def score(results: dict[str, Any], work: Path) -> scoring.SongScore:
    store: Any = SimpleNamespace(path=lambda ref: work / ref.sha256)
    song = AnnotatedSong("demo", "one", lambda: work / "one.wav", Annotations(beats=(0.5, 1.0, 1.5), tempo_bpm=120.0))
    return scoring.Scorer(store, work, "", with_baselines=True).score(song, ("beats_key",), results)


def test_an_off_the_shelf_part_that_fails_is_named_in_the_report(
    results: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(material: object, truth: object) -> dict[str, float]:
        raise RuntimeError("no such model")

    monkeypatch.setitem(scoring.BASELINES, "beats_key", fails)
    found = score(results, tmp_path)
    assert found.steps["beats_key"].baseline == {}
    assert found.steps["beats_key"].figures["beat_f"] == 0.0
    assert "- beats_key, demo/one: RuntimeError: no such model" in markdown(document([found], {}), None)


def test_one_that_works_is_kept_and_not_run_again(results: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[object] = []

    def works(material: object, truth: object) -> dict[str, float]:
        runs.append(material)
        return {"beat_f": 0.25}

    monkeypatch.setitem(scoring.BASELINES, "beats_key", works)
    for _ in range(2):
        found = score(results, tmp_path).steps["beats_key"]
        assert (found.baseline, found.baseline_error) == ({"beat_f": 0.25}, None)
    assert len(runs) == 1
    assert "failed" not in markdown(document([score(results, tmp_path)], {}), None)


def test_a_step_that_failed_has_its_error_and_no_figures(results: dict[str, Any], tmp_path: Path) -> None:
    found = score({**results, "beats_key": RuntimeError("out of memory")}, tmp_path).steps["beats_key"]
    assert (found.figures, found.error) == ({}, "out of memory")


@pytest.mark.parametrize(("with_beats", "right"), [(True, 1.0), (False, 0.9)])
def test_chords_are_scored_as_a_map_has_them_on_its_beats(results: dict[str, Any], tmp_path: Path, with_beats: bool, right: float) -> None:
    chords = (named_chord(0.0, 2.4, "C:maj", {"C:maj": 0.9}), named_chord(2.4, 4.0, "F:maj", {"F:maj": 0.8}))
    grid = tuple(Beat(time=float(second), position=second % 4 + 1, confidence=0.9) for second in range(4))
    found = results | {
        "ingest": SongSource.model_construct(audio=SOUND, duration_sec=4.0),
        "beats_key": results["beats_key"].model_copy(update={"beats": grid}) if with_beats else RuntimeError("no pulse model"),
        "chords": Chords(report=StepReport(step="chords"), chords=chords),
    }
    truth = Annotations(chords=(Span(0, 2, "C:maj"), Span(2, 4, "F:maj")))
    store: Any = SimpleNamespace(path=lambda ref: tmp_path / ref.sha256)
    song = AnnotatedSong("demo", "one", lambda: tmp_path / "one.wav", truth)
    scored = scoring.Scorer(store, tmp_path, "", with_baselines=False).score(song, ("chords",), found).steps["chords"]
    assert scored.figures["majmin"] == pytest.approx(right)
