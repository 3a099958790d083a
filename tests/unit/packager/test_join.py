"""Joining the results of the steps into a Song Map."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.results import Beat, Part, SongSource
from schemas.steps import StepName
from tasks.common.errors import AudioTooShort, EngineFailed, ModelUnavailable, RequiredStepFailed
from tasks.packager.join import bars_of, title_from
from tasks.packager.step_results import ResultOrError
from tasks.packager.times import Times
from tasks.packager.validation import validate

Join = Callable[..., Any]


def as_document(song_map: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(song_map.to_json())
    return document


def test_a_complete_run_gives_the_golden_map(join: Join, golden_path: Path) -> None:
    assert join().to_json() == golden_path.read_text(encoding="utf-8")


def test_words_get_syllables_that_begin_with_the_notes_of_the_melody(join: Join, results: dict[StepName, ResultOrError]) -> None:
    melody = results["melody"]
    assert isinstance(melody, Part)
    first = melody.notes[0]
    sung = melody.model_copy(update={"notes": (first, first.model_copy(update={"start": 9.2, "end": 9.5, "bends": ()}))})
    again = join(melody=sung).lyrics[1].words[0]
    assert [(part.start, part.end, part.text) for part in again.syllables] == [(9.0, 9.2, "a"), (9.2, 9.6, "gain")]
    without = join(melody=None).lyrics[1].words[0]
    assert [part.start for part in without.syllables] == [9.0, 9.3]


def test_syllables_that_a_word_came_with_stay(join: Join) -> None:
    assert [(part.start, part.text) for part in join().lyrics[0].words[0].syllables] == [(1.0, "Hel"), (1.3, "lo,")]


def test_the_old_front_end_finds_its_fields_as_they_were(join: Join) -> None:
    document = as_document(join())
    assert document["tempo"]["curve"][1] == [8.1, 121.5]
    assert document["meter"]["numerator"] == 4
    assert document["beats"][:2] == [0.1, 0.6]
    assert document["downbeats"][:2] == [0.6, 2.6]
    assert set(document["key"][0]) == {"start", "end", "tonic", "mode", "conf"}
    for path, fields in (
        ("chords", {"start", "end", "label", "conf"}),
        ("sections", {"start", "end", "label"}),
        ("lyrics", {"start", "end", "text", "conf"}),
    ):
        assert fields <= set(document[path][0])
    assert {"start", "end", "midi", "conf"} <= set(document["performance"]["melody"][0]) & set(document["performance"]["bass"][0])
    assert isinstance(document["provenance"], dict)


def test_the_map_says_which_track_was_read_when_it_begins_and_what_was_put_right(
    join: Join, results: dict[StepName, ResultOrError]
) -> None:
    source = results["ingest"]
    assert isinstance(source, SongSource)
    warning = "The recording is quiet"
    repaired = source.model_copy(
        update={
            "audio": source.audio.model_copy(update={"sha256": "9" * 64}),
            "decode_sha256": source.audio.sha256,
            "gain_db": 30.102999566,
            "offset": (0.25, -0.125),
            "channels": "inverted",
            "track": 2,
            "tracks": 3,
            "start_sec": 1.4760090702,
            "report": source.report.model_copy(update={"warnings": (warning,)}),
        }
    )
    document = as_document(join(ingest=repaired))
    assert validate(document) == []
    found = document["source"]
    assert document["id"] == found["audio_sha256"][:16]
    assert (found["analysed_sha256"], found["audio_sha256"]) == ("9" * 64, source.audio.sha256)
    assert (found["track"], found["tracks"], found["start_sec"]) == (2, 3, 1.476009)
    assert (found["gain_db"], found["offset"], found["channels"]) == (30.103, [0.25, -0.125], "inverted")
    assert document["steps"]["ingest"]["warnings"] == [warning]
    assert "analysed_sha256" not in as_document(join())["source"]


@pytest.mark.parametrize("step", ["separation", "asr", "chords", "melody", "bass", "structure"])
def test_a_map_without_an_optional_step_is_partial_and_valid(join: Join, step: str) -> None:
    song_map = join(**{step: EngineFailed("nothing worked")})
    assert song_map.status == "partial"
    assert getattr(song_map.steps, step).status == "failed"
    assert getattr(song_map.steps, step).code == "ENGINE_FAILED"
    assert validate(as_document(song_map)) == []


def test_a_map_with_only_the_required_steps_is_valid_and_empty_elsewhere(join: Join) -> None:
    failed = EngineFailed("nothing worked")
    song_map = join(separation=failed, asr=failed, chords=failed, melody=None, bass=None, structure=failed)
    assert validate(as_document(song_map)) == []
    assert song_map.chords == song_map.sections == song_map.lyrics == song_map.stems == song_map.performance.melody == ()
    assert song_map.steps.melody.status == "skipped"
    assert song_map.steps.melody.reasons == ("It needs the result of: separation",)


def test_bad_input_keeps_its_own_error(join: Join) -> None:
    with pytest.raises(AudioTooShort):
        join(ingest=AudioTooShort("song.mp3 lasts 0.2 s"), beats_key=None)


@pytest.mark.parametrize(
    ("replaced", "text"),
    [
        ({"ingest": RuntimeError("boom")}, "ingest failed (RuntimeError: boom)"),
        ({"ingest": None}, "ingest did not run"),
        ({"beats_key": None}, "beats_key did not run"),
        ({"beats_key": ModelUnavailable("no madmom")}, "beats_key failed (MODEL_UNAVAILABLE: no madmom"),
    ],
)
def test_without_a_required_step_there_is_no_map(join: Join, replaced: dict[str, Any], text: str) -> None:
    with pytest.raises(RequiredStepFailed) as caught:
        join(**replaced)
    assert text in str(caught.value)


def test_the_title_is_the_tag_or_else_comes_from_the_file_name(join: Join, results: dict[StepName, ResultOrError]) -> None:
    source: Any = results["ingest"]
    untagged = source.model_copy(update={"tags": source.tags.model_copy(update={"title": "  "})})
    assert join().title == "Ünsere Straße"
    assert join(file_name="My_great  song.v2.mp3", ingest=untagged).title == "My great song.v2"


@pytest.mark.parametrize(
    ("name", "title"), [("a.mp3", "a"), ("noending", "noending"), (".mp3", ".mp3"), ("_.ogg", "_.ogg"), ("", "untitled"), ("a.b.c", "a.b")]
)
def test_titles_from_file_names(name: str, title: str) -> None:
    assert title_from(name) == title


def test_file_names_with_undecodable_bytes_give_valid_text(join: Join) -> None:
    song_map = join(file_name="caf\udce9.mp3")
    assert song_map.source.file_name == "caf\ufffd.mp3"
    assert validate(as_document(song_map)) == []


def test_stems_that_are_not_written_have_no_path(join: Join) -> None:
    assert {stem.path for stem in join(with_stems=False).stems} == {None}
    assert [stem.path for stem in join().stems][-1] == "stems/instrumental.wav"


def test_boundaries_that_rounding_moved_are_on_their_beats_again(join: Join, results: dict[StepName, ResultOrError]) -> None:
    chords: Any = results["chords"]
    moved = [chord.model_copy(update={"start": chord.start + 4e-4, "end": chord.end - 4e-4}) for chord in chords.chords]
    moved[0] = moved[0].model_copy(update={"start": 0.0003})
    song_map = join(chords=chords.model_copy(update={"chords": tuple(moved)}))
    assert [(chord.start, chord.end) for chord in song_map.chords] == [(0.0, 0.6), (0.6, 6.6), (6.6, 16.0)]


def test_what_rounding_put_behind_the_end_is_at_the_end(join: Join, results: dict[StepName, ResultOrError]) -> None:
    lyrics: Any = results["asr"]
    spans = (lyrics.voice_activity[0], lyrics.voice_activity[1].model_copy(update={"end": 16.0005}))
    song_map = join(asr=lyrics.model_copy(update={"voice_activity": spans}))
    assert song_map.voice.activity[-1] == (8.9, 16.0)
    assert validate(as_document(song_map)) == []


def test_what_lies_truly_behind_the_end_is_not_hidden(join: Join, results: dict[StepName, ResultOrError]) -> None:
    lyrics: Any = results["asr"]
    spans = (lyrics.voice_activity[0], lyrics.voice_activity[1].model_copy(update={"end": 16.01}))
    song_map = join(asr=lyrics.model_copy(update={"voice_activity": spans}))
    assert [problem.json_path for problem in validate(as_document(song_map))] == ["$.voice.activity[1][1]"]


def test_a_label_the_schema_refuses_is_a_problem_and_no_crash(join: Join, results: dict[StepName, ResultOrError]) -> None:
    chords: Any = results["chords"]
    odd = chords.chords[1].model_copy(update={"label": "Am7"})
    song_map = join(chords=chords.model_copy(update={"chords": (chords.chords[0], odd, chords.chords[2])}))
    assert [problem.json_path for problem in validate(as_document(song_map))] == ["$.chords[1].label"]


def beats_at(times: list[float], positions: list[int]) -> tuple[Beat, ...]:
    return tuple(Beat(time=time, position=position, confidence=1.0) for time, position in zip(times, positions, strict=True))


def test_a_pickup_is_in_no_bar_and_the_last_bar_ends_with_the_beats() -> None:
    times = [0.5 * i for i in range(1, 7)]
    bars = bars_of(beats_at(times, [3, 1, 2, 3, 1, 2]), Times(10.0, times))
    assert [(bar.start, bar.end, bar.first_beat, bar.beats) for bar in bars] == [(1.0, 2.5, 1, 3), (2.5, 3.5, 4, 2)]


def test_bars_of_songs_without_beats_or_downbeats_and_of_one_beat() -> None:
    assert bars_of((), Times(10.0, [])) == ()
    assert bars_of(beats_at([1.0, 2.0], [2, 3]), Times(10.0, [1.0, 2.0])) == ()
    assert [(bar.start, bar.end) for bar in bars_of(beats_at([1.0], [1]), Times(10.0, [1.0]))] == [(1.0, 10.0)]


def test_a_downbeat_at_the_very_end_starts_no_bar() -> None:
    times = [8.0, 9.0, 10.0]
    assert [bar.end for bar in bars_of(beats_at(times, [1, 2, 1]), Times(10.0, times))] == [10.0]


@given(st.floats(1.0, 2000.0), st.lists(st.floats(0.0, 2000.0), max_size=30), st.lists(st.floats(0.0, 2000.0), min_size=1, max_size=30))
def test_rounding_moves_no_time_by_more_than_half_a_millisecond_and_keeps_the_order(
    duration: float, beats: list[float], given_times: list[float]
) -> None:
    times = Times(duration, beats)
    for rounded in (times.event, times.boundary):
        moved = [rounded(time) for time in sorted(given_times)]
        assert all(abs(after - before) <= 0.000501 for after, before in zip(moved, sorted(given_times), strict=True))
        assert all(a <= b for a, b in itertools.pairwise(moved))
        assert all(round(time, 6) == time for time in moved)
