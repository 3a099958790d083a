"""`performia correct`: what a person types, and what they are told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from deployments.cli import main as cli
from tasks.common.errors import CorrectionsInvalid, CorrectionUnplaceable, OptionInvalid, PerformiaError, SongMapNotFound, StorageError
from tasks.common.settings import get_settings
from tasks.corrections.kept import forget_log

GOLDEN = Path(__file__).parents[2] / "packager" / "golden" / "song_map.json"
RUNNER = CliRunner()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "song"
    made.mkdir()
    (made / "song_map.json").write_bytes(GOLDEN.read_bytes())
    return made


@pytest.fixture
def correct(folder: Path) -> Callable[..., Result]:
    """correct(arguments...): the command; an error of ours is raised."""

    def run(*arguments: object) -> Result:
        result = RUNNER.invoke(cli.app, ["correct", str(folder), *map(str, arguments)])
        if isinstance(result.exception, PerformiaError):
            raise result.exception
        return result

    return run


def written(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "song_map.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["title", "Road"], "applied"),
        (["artist", "Ann"], "applied"),
        (["key", "F# minor"], "F# minor"),
        (["key", "Bb", "--from", "0:08"], "Bb major"),
        (["tempo", "half"], "120 bpm is 60"),
        (["tempo", "double"], "120 bpm is 240"),
        (["downbeat", "-1"], "1 beat earlier"),
        (["beats", "shift", "-20"], "-20 ms"),
        (["meter", "3/4"], "applied"),
        (["chord", "--at", "4", "--to", "Dm7"], "Dm7"),
        (["chord", "--at", "4", "--to", "Dm7", "--everywhere"], "more place"),
        (["section", "--at", "1", "--to", "bridge"], "bridge"),
        (["lyrics", "shift", "50"], "+50 ms"),
    ],
)
def test_each_is_said_and_applied(arguments: list[str], said: str, correct: Callable[..., Result], folder: Path) -> None:
    result = correct(*arguments)
    assert result.exit_code == 0, result.output
    assert said in result.output
    assert written(folder)["corrections"]["operations"] == 1


def test_a_word_is_put_right_in_text_and_time(correct: Callable[..., Result], folder: Path) -> None:
    first = written(folder)["lyrics"][0]["words"][0]
    assert correct("word", "--at", first["start"], "--to", "Yellow", "--end", first["end"] - 0.05).exit_code == 0
    word = written(folder)["lyrics"][0]["words"][0]
    assert (word["text"], word["end"], word["by"]) == ("Yellow", pytest.approx(first["end"] - 0.05), "person")


def test_the_list_shows_what_became_of_each_and_undo_takes_back(correct: Callable[..., Result], folder: Path) -> None:
    before = written(folder)["title"]
    assert "Nothing is put right" in correct("list").output
    correct("title", "Road")
    assert "applied: title: Road" in correct("--list").output
    assert "applied: title: Road" in correct().output
    assert "taken back" in correct("--undo").output
    assert "taken back" in correct("list").output
    assert written(folder)["title"] == before
    with pytest.raises(CorrectionUnplaceable):
        correct("undo")


def test_the_outcome_as_json(folder: Path) -> None:
    result = RUNNER.invoke(cli.app, ["correct", str(folder), "title", "Road", "--json", "--author=Ann"])
    said = json.loads(result.stdout)
    assert [outcome["outcome"] for outcome in said["outcomes"]] == ["applied"]
    rows = json.loads(RUNNER.invoke(cli.app, ["correct", str(folder), "--json", "list"]).stdout)["operations"]
    assert [(row["id"], row["author"], row["outcome"], row["taken_back"]) for row in rows] == [(said["added"][0], "Ann", "applied", False)]


def test_what_is_exported_is_imported_elsewhere(correct: Callable[..., Result], folder: Path, tmp_path: Path) -> None:
    correct("title", "Road")
    assert correct("export", tmp_path / "mine.json").exit_code == 0
    with pytest.raises(StorageError, match="there already"):
        correct("export", tmp_path / "mine.json")
    forget_log(get_settings(), written(folder)["id"])
    for path in folder.iterdir():
        path.unlink()
    (folder / "song_map.json").write_bytes(GOLDEN.read_bytes())  # as on another machine
    assert correct("import", tmp_path / "mine.json").exit_code == 0
    assert written(folder)["title"] == "Road"
    assert correct("import", tmp_path / "mine.json").exit_code == 0
    assert written(folder)["corrections"]["operations"] == 1  # no operation is taken twice


def test_labels_make_the_round_trip(correct: Callable[..., Result], folder: Path, tmp_path: Path) -> None:
    track = tmp_path / "chords.txt"
    correct("export", track, "--of", "chords")
    assert "nothing is put right" in correct("import", track).output
    lines = track.read_text(encoding="utf-8").splitlines()
    lines[1] = lines[1].rpartition("\t")[0] + "\tEm7"
    track.write_text("\n".join(lines), encoding="utf-8")
    assert "Em7" in correct("import", track).output
    assert written(folder)["chords"][1]["label"] == "E:min7"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["word", "--at", "1"], OptionInvalid),
        (["word", "--text", "absent", "--to", "x"], CorrectionUnplaceable),
        (["line", "cut", "--at", "1"], OptionInvalid),
        (["key", "H"], OptionInvalid),
        (["meter", "4/3"], OptionInvalid),
        (["tempo", "triple"], OptionInvalid),
        (["downbeat"], OptionInvalid),
        (["beats", "shift", "much"], OptionInvalid),
        (["beats", "tap", "/none/such"], StorageError),
        (["note", "--at", "1", "--to", "H9"], OptionInvalid),
        (["note", "--at", "1", "--part", "drums", "--to", "A4"], OptionInvalid),
        (["section", "--at", "1"], OptionInvalid),
        (["chord", "--at", "1", "--to", "A,B,C"], OptionInvalid),
        (["title", " "], OptionInvalid),
        (["export", "-", "--of", "drums"], OptionInvalid),
        (["import", "/none/such"], StorageError),
    ],
)
def test_what_is_not_understood_says_what_to_do(
    arguments: list[str], error: type[PerformiaError], correct: Callable[..., Result], folder: Path
) -> None:
    with pytest.raises(error) as caught:
        correct(*arguments)
    assert caught.value.what_to_do
    assert [path.name for path in folder.iterdir()] == ["song_map.json"]


@pytest.mark.parametrize("content", [b"nothing", b"{", b'{"song": 3}', b"hello", b"\xff\xfe", b"1\tx\ty"])
def test_a_file_that_is_none_of_ours_changes_nothing(content: bytes, correct: Callable[..., Result], folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(CorrectionsInvalid):
        correct("import", tmp_path / "file")
    with pytest.raises(CorrectionsInvalid):
        correct("beats", "replace", tmp_path / "file")
    assert [path.name for path in folder.iterdir()] == ["song_map.json"]


@pytest.mark.parametrize("arguments", [["chord", "--at", "x", "--to", "Am"], ["chord", "--at", "1", "--to", "H7"], ["dance"]])
def test_words_that_are_none_exit_with_2(arguments: list[str], correct: Callable[..., Result]) -> None:
    assert correct(*arguments).exit_code == 2


def test_beats_that_were_tapped_or_written_by_another_program(correct: Callable[..., Result], folder: Path, tmp_path: Path) -> None:
    taps = tmp_path / "taps.txt"
    taps.write_text("# tapped\n" + "".join(f"{0.5 * beat + 0.25}\n" for beat in range(28)))
    assert correct("beats", "tap", taps, "--one", "0.25").exit_code == 0
    assert written(folder)["beats"][1] == pytest.approx(0.75)
    grid = tmp_path / "song.beats"
    grid.write_text("".join(f"{0.4 * beat + 0.1:.3f}\t{beat % 3 + 1}\n" for beat in range(30)))
    assert correct("beats", "replace", grid).exit_code == 0
    assert written(folder)["downbeats"][:2] == [0.1, 1.3]


def test_a_conflict_exits_with_1_and_is_kept(correct: Callable[..., Result], folder: Path) -> None:
    word = written(folder)["lyrics"][0]["words"][1]
    result = correct("word", "--at", word["start"], "--start", 0.0, "--end", 16.0)
    assert result.exit_code == 1
    assert "conflict" in result.output
    assert written(folder)["corrections"]["outcomes"][0]["outcome"] == "conflict"


def test_where_there_is_no_song(tmp_path: Path) -> None:
    result = RUNNER.invoke(cli.app, ["correct", str(tmp_path), "list"])
    assert isinstance(result.exception, SongMapNotFound)


def test_two_maps_are_compared(correct: Callable[..., Result], folder: Path) -> None:
    same = RUNNER.invoke(cli.app, ["diff", str(folder), str(folder / "song_map.json")])
    assert (same.exit_code, same.output) == (0, "The maps say the same.\n")
    correct("title", "Road")
    differs = RUNNER.invoke(cli.app, ["diff", str(folder / "machine_map.json"), str(folder)])
    assert differs.exit_code == 1
    assert "Road" in differs.output
    rows = json.loads(RUNNER.invoke(cli.app, ["diff", str(folder / "machine_map.json"), str(folder), "--json"]).stdout)
    assert [row["what"] for row in rows] == ["title"]
