"""What persons put right is an input of a run: real flow, real cache, light engines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import soundfile
from light_engines import AT_HAND

from deployments.cli.analyze import analyze_songs
from flows import analyze_song
from schemas import corrections as c
from schemas.results import BeatsKey
from schemas.song_map import SongMap
from tasks.common import errors
from tasks.corrections.kept import read_file, read_log
from tasks.corrections.log import with_changes
from tasks.corrections.placing import word_at

pytestmark = pytest.mark.usefixtures("prefect_api")

STRUCTURE = "tasks.structure.detect.detect_structure"
CHORDS = "tasks.chords.recognize.recognize_chords"
Engines = dict[str, Any]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def log_of(song_map: SongMap, *changes: c.Change) -> dict[str, Any]:
    """As a run is given it."""
    log = with_changes(c.Corrections(song=song_map.id), song_map, [(change, None) for change in changes], "Ann")
    return log.model_dump(mode="json")


def computed(song_map: SongMap) -> list[str]:
    return [name for name, step in song_map.steps if not step.cached]


def word_of(song_map: SongMap, text: str) -> c.WordText:
    return c.WordText(word=word_at(song_map.lyrics, 0, 0), text=text)


def written(folder: Path, name: str = "song_map.json") -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
    return document


def test_a_song_that_nobody_corrected_has_nothing_of_corrections(short_song: Path, light_engines: Engines, out: Path) -> None:
    song_map = analyze_song(short_song, AT_HAND, out)
    assert song_map.folder is not None
    assert {path.name for path in song_map.folder.iterdir()} == {"song_map.json", "timeline.svg", "stems"}
    assert not {"corrections", "by_person"} & written(song_map.folder).keys()
    assert "by" not in written(song_map.folder)["chords"][0]


def test_a_word_put_right_computes_no_step_again(short_song: Path, light_engines: Engines, out: Path) -> None:
    machine = analyze_song(short_song, AT_HAND, out)
    calls = dict(light_engines["calls"])
    made = analyze_song(short_song, AT_HAND, out, corrections=log_of(machine, word_of(machine, "yellow")))
    assert computed(made) == []
    assert light_engines["calls"] == calls
    assert [line.text for line in made.lyrics] == ["yellow"]
    assert (made.lyrics[0].words[0].by, made.lyrics[0].words[0].conf) == ("person", 1.0)
    assert made.folder is not None
    assert written(made.folder, "machine_map.json")["lyrics"] == written_lyrics(machine)
    assert [entry["change"]["text"] for entry in written(made.folder, "corrections.json")["operations"]] == ["yellow"]


def written_lyrics(song_map: SongMap) -> Any:
    return json.loads(song_map.to_json())["lyrics"]


def test_beats_put_right_compute_again_what_reads_them(short_song: Path, light_engines: Engines, out: Path) -> None:
    machine = analyze_song(short_song, AT_HAND, out)
    good, given = light_engines[STRUCTURE], []

    def noted(source: Any, beats: BeatsKey, *inputs: Any) -> Any:
        given.append([beat.time for beat in beats.beats])
        return good(source, beats, *inputs)

    light_engines[STRUCTURE] = noted
    log = log_of(machine, c.TempoHalved(bpm=120.0))
    made = analyze_song(short_song, AT_HAND, out, corrections=log)
    assert computed(made) == ["structure"]
    assert given == [[0.0, 1.0, 2.0, 3.0]]
    assert (made.tempo.bpm_global, made.beats) == (60.0, (0.0, 1.0, 2.0, 3.0))
    assert computed(analyze_song(short_song, AT_HAND, out, corrections=log)) == []


def test_lyrics_that_a_person_gave_are_placed(short_song: Path, light_engines: Engines, out: Path) -> None:
    machine = analyze_song(short_song, AT_HAND, out)
    made = analyze_song(short_song, AT_HAND, out, corrections=log_of(machine, c.LyricsGiven(text="hello")))
    assert made.steps.align is not None
    assert machine.steps.align is None


def test_what_was_said_once_holds_in_every_later_run(short_song: Path, light_engines: Engines, out: Path, tmp_path: Path) -> None:
    machine = analyze_song(short_song, AT_HAND, out)
    analyze_song(short_song, AT_HAND, out, corrections=log_of(machine, word_of(machine, "yellow"), c.TitleSet(title="Road")))
    retagged = tmp_path / "renamed.wav"
    retagged.write_bytes(short_song.read_bytes())
    elsewhere = analyze_song(retagged, AT_HAND, tmp_path / "elsewhere")
    assert (elsewhere.title, elsewhere.lyrics[0].text) == ("Road", "yellow")
    assert elsewhere.corrections is not None
    assert [outcome.outcome for outcome in elsewhere.corrections.outcomes] == ["applied", "applied"]


def test_what_is_taken_back_leaves_the_machines_map(short_song: Path, light_engines: Engines, out: Path) -> None:
    from tasks.common.settings import get_settings

    machine = analyze_song(short_song, AT_HAND, out)
    analyze_song(short_song, AT_HAND, out, corrections=log_of(machine, word_of(machine, "yellow")))
    kept = read_log(get_settings(), machine.id)
    undone = with_changes(kept, machine, [(c.Undo(operation=kept.operations[0].id), None)], "Ann")
    made = analyze_song(short_song, AT_HAND, out, corrections=undone.model_dump(mode="json"))
    assert made.lyrics == machine.lyrics
    assert made.corrections is None


def test_what_has_no_place_is_reported_and_kept(short_song: Path, light_engines: Engines, out: Path) -> None:
    machine = analyze_song(short_song, AT_HAND, out)
    elsewhere = c.WordAt(time=3.0, text="goodbye", before=("we", "say"))
    log = log_of(machine, c.WordText(word=elsewhere, text="farewell"), c.TitleSet(title="Road"))
    made = analyze_song(short_song, AT_HAND, out, corrections=log)
    assert made.corrections is not None
    assert [outcome.outcome for outcome in made.corrections.outcomes] == ["conflict", "applied"]
    assert made.lyrics == machine.lyrics
    assert made.folder is not None
    assert len(written(made.folder, "corrections.json")["operations"]) == 2


def test_a_chord_put_right_has_no_place_where_chords_failed(short_song: Path, light_engines: Engines, out: Path) -> None:
    def failing(*inputs: Any) -> Any:
        raise errors.EngineFailed("No engine of chords worked")

    light_engines[CHORDS] = failing
    at = c.ChordAt(start=0.0, end=4.0, label="A:min")
    log = c.Corrections(
        song="0" * 16,
        operations=(
            c.Operation(
                id="1" * 12, author="Ann", time="2026-01-01T00:00:00Z", song="0" * 16, change=c.ChordReplaced(chord=at, label="C:maj")
            ),
        ),
    )
    made = analyze_song(short_song, AT_HAND, out, corrections=log.model_dump(mode="json"))
    assert (made.status, made.chords) == ("partial", ())
    assert made.corrections is not None
    assert [outcome.outcome for outcome in made.corrections.outcomes] == ["conflict"]


def test_another_decode_of_the_song_takes_them_along(short_song: Path, light_engines: Engines, out: Path, tmp_path: Path) -> None:
    machine = analyze_song(short_song, AT_HAND, out)
    samples, rate = soundfile.read(short_song)
    softer = tmp_path / "softer.wav"
    soundfile.write(softer, 0.5 * samples, rate)
    made = analyze_song(softer, AT_HAND, out, corrections=log_of(machine, word_of(machine, "yellow")))
    assert made.id != machine.id
    assert made.lyrics[0].text == "yellow"


@pytest.mark.parametrize("log", [{"operations": []}, {"song": "0" * 16, "operations": [{"change": {"kind": "dance"}}]}])
def test_what_is_no_log_stops_the_run_before_anything_heavy(
    log: dict[str, Any], short_song: Path, light_engines: Engines, out: Path
) -> None:
    with pytest.raises(errors.CorrectionsInvalid):
        analyze_song(short_song, AT_HAND, out, corrections=log)
    assert light_engines["calls"] == {}


def test_a_command_takes_a_file_of_corrections(
    short_song: Path, light_engines: Engines, out: Path, tmp_path: Path, api_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in api_environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tasks.separation.separate.load_ahead", lambda _: None)
    machine = analyze_song(short_song, AT_HAND, out)
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(log_of(machine, c.TitleSet(title="Road"))))
    assert analyze_songs([short_song], out, AT_HAND, as_json=False, debug=False, corrections=read_file(file)) == 0
    assert written(out / "short song")["title"] == "Road"
