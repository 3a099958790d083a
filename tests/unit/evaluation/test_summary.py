from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.evaluation.report import document, markdown
from tasks.evaluation.scoring import SongScore, StepScore
from tasks.evaluation.summary import calibration_error, changes, means, reliability, style_means


def song(name: str, dataset: str = "mdbdrums", step: str = "beats_key", error: str | None = None, **figures: float) -> SongScore:
    return SongScore(f"{dataset}/{name}", dataset, {step: StepScore(figures, baseline={"beat_f": 0.5}, engine="madmom", error=error)})


def earlier(*scores: SongScore) -> dict[str, Any]:
    return json.loads(json.dumps(document(scores, {})))  # type: ignore[no-any-return]


def test_means_are_over_the_songs_that_have_a_metric() -> None:
    found = {
        (m.metric, m.songs): m for m in means([song("a", beat_f=0.9), song("b", beat_f=1.0, downbeat_f=0.5), song("c", cmlt=float("nan"))])
    }
    assert found["beat_f", 2].ours == pytest.approx(0.95)
    assert found["beat_f", 2].baseline == pytest.approx(0.5)
    assert found["beat_f", 2].goal is not None
    assert not found["beat_f", 2].goal.is_met(0.96)
    assert found["downbeat_f", 1].baseline is None
    assert ("cmlt", 1) not in found


def test_less_is_better_for_errors() -> None:
    (mean,) = means([song("a", "ultrastar", "asr", wer=0.17)])
    assert mean.goal is not None
    assert mean.goal.is_met(mean.ours)
    assert not mean.goal.is_met(0.19)


def test_reliability_says_how_often_what_was_said_is_right() -> None:
    score = SongScore("x/y", "x", {"asr": StepScore({}, hits=((0.95, True), (0.91, False), (0.1, False), (1.0, True)))})
    table = reliability([score])["asr"]
    assert [(b.low, b.count, round(b.right, 3)) for b in table] == [(0.1, 1, 0.0), (0.9, 3, 0.667)]
    assert calibration_error(table) == pytest.approx((0.1 + 3 * abs(2.86 / 3 - 2 / 3)) / 4)


def test_a_clear_loss_is_one_and_noise_is_none() -> None:
    before = earlier(*(song(str(n), beat_f=0.9, downbeat_f=0.9) for n in range(4)))
    now = [song(str(n), beat_f=0.85, downbeat_f=value) for n, value in enumerate((0.7, 1.0, 1.0, 0.85))]
    found = {change.metric: change for change in changes(before, now)}
    assert found["beat_f"].is_loss
    assert (found["beat_f"].before, found["beat_f"].now) == (pytest.approx(0.9), pytest.approx(0.85))
    assert not found["downbeat_f"].is_loss  # one song down, two up: within the noise of four songs


def test_a_gain_is_no_loss_and_errors_count_the_other_way() -> None:
    before = earlier(song("a", "ultrastar", "asr", wer=0.3, line_f=0.5))
    found = {c.metric: c for c in changes(before, [song("a", "ultrastar", "asr", wer=0.4, line_f=0.6)])}
    assert found["wer"].is_loss
    assert not found["line_f"].is_loss


def test_a_step_that_fails_now_is_a_loss() -> None:
    found = changes(earlier(song("a", beat_f=0.9)), [song("a", error="broken")])
    assert [(c.metric, c.now, c.is_loss) for c in found] == [("beat_f", 0.0, True)]


def test_songs_that_only_one_run_has_are_not_compared() -> None:
    assert changes(earlier(song("a", beat_f=0.9)), [song("b", beat_f=0.1)]) == []


def test_the_report_shows_means_goals_calibration_songs_and_changes() -> None:
    scores = [
        SongScore("mdbdrums/a|b", "mdbdrums", {"beats_key": StepScore({"beat_f": 0.98}, {"beat_f": 0.5}, "madmom", hits=((0.9, True),))})
    ]
    text = markdown(document(scores, {"pop909/001": "FluidSynth is missing"}), changes(earlier(song("a|b", beat_f=1.0)), scores))
    assert "| beats_key | mdbdrums |  | beat_f | 1 | 0.980 | 0.500 | +0.480 | 0.970 | yes |" in text
    assert "**beats_key**, ECE 0.100" in text
    assert "| mdbdrums/a\\|b | 0.980 |  |" in text
    assert "- pop909/001: FluidSynth is missing" in text
    assert "| beats_key | mdbdrums | beat_f | 1 | 1.000 | 0.980 | **loss** |" in text


def test_songs_that_constants_were_chosen_on_have_a_mean_of_their_own_and_no_goal() -> None:
    scores = [
        SongScore(f"pop909/{name}", "pop909", {"beats_key": StepScore({"beat_f": beat_f}, {"beat_f": 0.5})}, split, style)
        for name, beat_f, split, style in (
            ("001", 1.0, "choose", "piano"),
            ("004", 0.8, "check", "piano"),
            ("004 band", 0.4, "check", "band"),
        )
    ]
    assert [(m.split, m.songs, m.ours, m.goal is not None) for m in means(scores)] == [
        ("check", 2, pytest.approx(0.6), True),
        ("choose", 1, 1.0, False),
    ]
    assert [(m.dataset, m.split, m.ours) for m in style_means(scores)] == [
        ("pop909/band", "check", 0.4),
        ("pop909/piano", "check", 0.8),
        ("pop909/piano", "choose", 1.0),
    ]
    assert "| pop909/band | check | 1 | 0.400 (0.500) |" in markdown(document(scores, {}), None)
