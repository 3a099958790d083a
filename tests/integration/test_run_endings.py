"""How a run ends when steps succeed, fail, or were computed before: real flow, real cache, light engines."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import av
import pytest
import soundfile
from light_engines import AT_HAND

from deployments.cli.analyze import analyze_songs
from flows import analyze_song
from schemas.options import AnalysisOptions
from tasks.common import errors
from tasks.common.settings import get_settings
from tasks.common.storage.artifacts import sha256_file
from tasks.packager.validation import validate_file

pytestmark = pytest.mark.usefixtures("prefect_api")

SEPARATE = "tasks.separation.separate.separate_song"
CHORDS = "tasks.chords.recognize.recognize_chords"
BEATS = "tasks.beats_key.track_beats.track_beats_and_key"


def failing(error: Exception) -> Any:
    def engine(*inputs: Any) -> Any:
        raise error

    return engine


def test_a_run_writes_a_valid_map_and_the_stems(short_song: Path, light_engines: dict[str, Any], tmp_path: Path) -> None:
    song_map = analyze_song(short_song, AT_HAND, tmp_path / "out")
    assert song_map.status == "complete"
    assert {step.status for _, step in song_map.steps} == {"ok"}
    assert song_map.title == "short song"
    assert song_map.folder == tmp_path / "out" / "short song"
    assert validate_file(song_map.folder / "song_map.json") == []
    stems = {path.name for path in (song_map.folder / "stems").glob("*.flac")}
    assert stems == {"vocals.flac", "drums.flac", "bass.flac", "other.flac", "instrumental.flac"}


def test_a_second_run_is_answered_from_the_cache(short_song: Path, light_engines: dict[str, Any], tmp_path: Path) -> None:
    first = analyze_song(short_song, AT_HAND, tmp_path / "out")
    copy = tmp_path / "renamed.wav"
    copy.write_bytes(short_song.read_bytes())
    second = analyze_song(copy, AT_HAND, tmp_path / "out")
    assert {step.status for _, step in second.steps} == {"cached"}
    assert second.id == first.id
    assert second.chords == first.chords
    assert set(light_engines["calls"].values()) == {1}


@pytest.fixture
def reads(api_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What the command does with its songs' files: ("open" or "hash", name)."""
    found: list[tuple[str, str]] = []
    open_audio = av.open

    def open_noted(file: str, *args: Any, **options: Any) -> Any:
        if args != ("w",):  # stems are written with it too
            found.append(("open", Path(file).name))
        return open_audio(file, *args, **options)

    def hash_noted(path: Path) -> str:
        found.append(("hash", path.name))
        return sha256_file(path)

    monkeypatch.setattr(av, "open", open_noted)
    monkeypatch.setattr("tasks.ingest.checks.sha256_file", hash_noted)
    monkeypatch.setattr("tasks.separation.separate.load_ahead", lambda _: None)
    for name, value in api_environment.items():
        monkeypatch.setenv(name, value)
    return found


def test_a_command_hashes_each_song_once_and_opens_it_to_look_and_to_decode(
    reads: list[tuple[str, str]], short_song: Path, light_engines: dict[str, Any], tmp_path: Path
) -> None:
    other = tmp_path / "softer.wav"
    soundfile.write(other, 0.5 * soundfile.read(short_song)[0], 44100)
    songs = [short_song, other]
    assert analyze_songs(songs, tmp_path / "out", AT_HAND, as_json=False, debug=False) == 0
    assert Counter(reads) == {("hash", song.name): 1 for song in songs} | {("open", song.name): 2 for song in songs}
    found = json.loads((tmp_path / "out" / "short song" / "song_map.json").read_text())
    assert found["steps"]["ingest"]["status"] == "ok"  # decoded for this run, if before it


def test_a_command_opens_a_song_in_the_cache_only_to_look(
    reads: list[tuple[str, str]], short_song: Path, light_engines: dict[str, Any], tmp_path: Path
) -> None:
    analyze_song(short_song, AT_HAND, tmp_path / "out")
    reads.clear()
    assert analyze_songs([short_song], tmp_path / "out", AT_HAND, as_json=False, debug=False) == 0
    assert Counter(reads) == {("hash", short_song.name): 1, ("open", short_song.name): 1}


def test_another_option_computes_only_the_steps_that_read_it(short_song: Path, light_engines: dict[str, Any], tmp_path: Path) -> None:
    analyze_song(short_song, AT_HAND, tmp_path / "out")
    other = AT_HAND.model_copy(update={"language": "en"})
    song_map = analyze_song(short_song, other, tmp_path / "out")
    # The lyrics come out the same, so structure, which reads them, is answered from the cache.
    assert [name for name, step in song_map.steps if not step.cached] == ["asr"]


def test_a_hit_whose_files_are_gone_is_computed_again(short_song: Path, light_engines: dict[str, Any], tmp_path: Path) -> None:
    song_map = analyze_song(short_song, AT_HAND, tmp_path / "out")
    drums = next(stem for stem in song_map.stems if stem.name == "drums")
    (Path(get_settings().artifacts_url) / f"audio/{drums.sha256[:2]}/{drums.sha256}.wav").unlink()
    again = analyze_song(short_song, AT_HAND, tmp_path / "out")
    assert [name for name, step in again.steps if not step.cached] == ["separation"]


def test_a_failed_step_leaves_a_partial_map_that_says_why(short_song: Path, light_engines: dict[str, Any], tmp_path: Path) -> None:
    light_engines[CHORDS] = failing(errors.EngineFailed("No engine of chords worked"))
    state = analyze_song(short_song, AT_HAND, tmp_path / "out", return_state=True)
    song_map = state.result()
    assert (state.name, state.is_completed()) == ("Partial", True)
    assert "chords failed" in str(state.message)
    assert song_map.status == "partial"
    assert song_map.chords == ()
    assert song_map.beats
    assert (song_map.steps.chords.status, song_map.steps.chords.code) == ("failed", "ENGINE_FAILED")
    assert song_map.sections
    assert validate_file(song_map.folder / "song_map.json") == []


def test_without_stems_what_can_goes_on_and_what_needs_them_is_skipped(
    short_song: Path, light_engines: dict[str, Any], tmp_path: Path
) -> None:
    light_engines[SEPARATE] = failing(ValueError("broken"))
    song_map = analyze_song(short_song, AT_HAND, tmp_path / "out")
    assert song_map.status == "partial"
    found = {name: step.status for name, step in song_map.steps}
    assert found["separation"] == "failed"
    assert found["melody"] == found["bass"] == "skipped"
    assert found["asr"] == found["chords"] == found["structure"] == "ok"
    assert song_map.stems == ()
    assert not (tmp_path / "out" / "short song" / "stems").exists()


def test_without_beats_there_is_no_map_but_finished_steps_are_kept(short_song: Path, light_engines: dict[str, Any], tmp_path: Path) -> None:
    good = light_engines[BEATS]
    light_engines[BEATS] = failing(errors.EngineFailed("No engine of beats_key worked"))
    with pytest.raises(errors.RequiredStepFailed, match="No engine of beats_key worked"):
        analyze_song(short_song, AT_HAND, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    light_engines[BEATS] = good
    song_map = analyze_song(short_song, AT_HAND, tmp_path / "out")
    assert {"ingest", "separation", "chords", "asr", "melody", "bass"} <= {name for name, step in song_map.steps if step.cached}
    assert light_engines["calls"]["separate_song"] == 1


def test_bad_input_fails_the_run_with_its_own_error(tmp_path: Path, light_engines: dict[str, Any]) -> None:
    (tmp_path / "song.mp3").write_text("no music")
    with pytest.raises(errors.AudioNotAudio):
        analyze_song(tmp_path / "song.mp3", AT_HAND, tmp_path / "out")
    assert light_engines["calls"] == {}
    assert not (tmp_path / "out").exists()


def test_strict_fails_before_anything_heavy_if_an_engine_is_missing(
    short_song: Path, light_engines: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(errors.StrictRunFailed, match="htdemucs"):
        analyze_song(short_song, AnalysisOptions(strict=True), tmp_path / "out")
    assert light_engines["calls"] == {}


def test_strict_fails_a_run_with_a_failed_step(short_song: Path, light_engines: dict[str, Any], tmp_path: Path) -> None:
    light_engines[CHORDS] = failing(ValueError("broken"))
    with pytest.raises(errors.StrictRunFailed, match="chords failed"):
        analyze_song(short_song, AT_HAND.model_copy(update={"strict": True}), tmp_path / "out")


def test_what_may_pass_is_tried_again_and_bad_input_is_not(
    short_song: Path, light_engines: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.chords.task import recognize_chords as task

    monkeypatch.setattr(task, "retry_delay_seconds", 0)
    good = light_engines[CHORDS]

    def once_broken(*inputs: Any) -> Any:
        if light_engines["calls"]["recognize_chords"] == 1:
            raise errors.StorageError("the disk hiccuped")
        return good(*inputs)

    light_engines[CHORDS] = once_broken
    assert analyze_song(short_song, AT_HAND, tmp_path / "out").status == "complete"
    assert light_engines["calls"]["recognize_chords"] == 2


def test_an_invalid_map_is_never_written_and_its_parts_are_kept(short_song: Path, light_engines: dict[str, Any], tmp_path: Path) -> None:
    good = light_engines[CHORDS]

    def overlapping(*inputs: Any) -> Any:
        chords = good(*inputs)
        return chords.model_copy(update={"chords": (chords.chords[0], chords.chords[0])})

    light_engines[CHORDS] = overlapping
    with pytest.raises(errors.SongMapInvalid) as caught:
        analyze_song(short_song, AT_HAND, tmp_path / "out")
    assert any(problem.startswith("$.chords[1]") for problem in caught.value.problems)
    folder = tmp_path / "out" / "short song"
    assert not (folder / "song_map.json").exists()
    assert "$.chords[1]" in (folder / "invalid" / "problems.txt").read_text()
    assert json.loads((folder / "invalid" / "chords.json").read_text())["chords"]


def test_songs_of_one_name_do_not_overwrite_each_other(short_song: Path, light_engines: dict[str, Any], tmp_path: Path) -> None:
    import soundfile

    samples, rate = soundfile.read(short_song)
    other = tmp_path / "other" / short_song.name
    other.parent.mkdir()
    soundfile.write(other, samples * 0.5, rate)
    first = analyze_song(short_song, AT_HAND, tmp_path / "out")
    second = analyze_song(other, AT_HAND, tmp_path / "out")
    assert second.folder == tmp_path / "out" / f"short song-{second.id[:8]}"
    assert json.loads((first.folder / "song_map.json").read_text())["id"] == first.id


def test_a_run_is_named_after_its_song_and_shows_a_summary(short_song: Path, light_engines: dict[str, Any], tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client

    song_map = analyze_song(short_song, AT_HAND, tmp_path / "out")
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(song_map.provenance.flow_run)
        artifacts = client.request(
            "POST", "/artifacts/latest/filter", json={"artifacts": {"key": {"any_": [f"song-{song_map.id}"]}}}
        ).json()
    assert run.name == "short song.wav"
    assert "| key | A minor |" in artifacts[0]["data"]
