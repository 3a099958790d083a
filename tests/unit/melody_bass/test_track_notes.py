"""The step: stems in, parts out."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.common import models
from tasks.common.errors import EngineFailed, ModelCorrupt, ModelUnavailable, OptionInvalid

TUNE = [60, 62, 64, 64, 67, 65, 62, 59]


@pytest.mark.parametrize("harmonics", [1, 8])
@pytest.mark.parametrize("engine", ["swift-f0", "pyin"])
def test_a_tune_comes_out_as_it_was_played(track, play, engine, harmonics):
    part = track("melody", play(TUNE, harmonics=harmonics), [engine])
    assert [note.midi for note in part.notes] == TUNE
    np.testing.assert_allclose([note.start for note in part.notes], 0.4 * np.arange(8), atol=0.05)
    np.testing.assert_allclose([note.end for note in part.notes], 0.4 * np.arange(8) + 0.36, atol=0.06)
    assert (part.part, part.lowest_midi, part.highest_midi, part.polyphonic) == ("melody", 59, 67, False)
    assert part.report.engine == engine


@pytest.mark.parametrize("engine", ["swift-f0", "pyin"])
def test_a_bass_line_comes_out_down_to_its_lowest_string(track, play, engine):
    line = [28, 28, 40, 33, 23, 35, 43, 31]
    part = track("bass", play(line, note_sec=0.5), [engine])
    assert [note.midi for note in part.notes] == line
    assert part.part == "bass"


def test_a_filtered_bass_line_comes_out_too(track, play):
    line = [28, 33, 40, 35, 31, 28]
    assert [note.midi for note in track("bass", play(line, note_sec=0.5, harmonics=1)).notes] == line


def test_a_song_out_of_tune_is_rounded_to_its_own_tuning(track, play):
    part = track("melody", play([pitch + 0.4 for pitch in TUNE]))
    assert [note.midi for note in part.notes] == TUNE
    np.testing.assert_allclose([note.cents for note in part.notes], 40, atol=12)


@pytest.mark.parametrize("engine", ["swift-f0", "pyin"])
@pytest.mark.parametrize("part", ["melody", "bass"])
def test_silence_holds_no_notes(track, part, engine):
    found = track(part, np.zeros(44100), [engine])
    assert found.notes == ()
    assert found.lowest_midi is None
    assert found.highest_midi is None
    assert (found.polyphonic, found.polyphonic_share) == (False, 0.0)


def test_leakage_far_below_the_mix_holds_no_notes(track, play):
    duet = play(TUNE, level=0.2) + play([pitch - 9 for pitch in TUNE[::-1]], level=0.2)
    assert track("melody", play(TUNE, level=0.001), mix=duet).notes == ()


def test_noise_holds_no_notes(track):
    assert track("melody", 0.1 * np.random.default_rng(0).standard_normal(2 * 44100)).notes == ()


def test_two_voices_are_flagged_and_said(track, play):
    part = track("melody", play(TUNE, gap=0.0) + 0.7 * play([pitch - 5 for pitch in TUNE], gap=0.0))
    assert part.polyphonic
    assert part.polyphonic_share > 0.5
    assert any("several pitches at once" in warning for warning in part.report.warnings)
    assert part.harmony == ()
    assert "The other voices are not written down: basic-pitch is not on this machine" in part.report.warnings


def test_both_of_two_voices_are_written_down(track, play):
    if models.find("basic-pitch") is None:
        pytest.skip("the package basic-pitch is not installed")
    below = [pitch - 5 for pitch in TUNE]
    part = track("melody", play(TUNE) + 0.7 * play(below), helpers=("basic-pitch",))
    assert [note.midi for note in part.notes] == TUNE
    assert [note.midi for note in part.harmony] == below
    np.testing.assert_allclose([note.start for note in part.harmony], 0.4 * np.arange(8), atol=0.05)


def test_a_broken_model_of_voices_costs_the_harmony_alone(track, play, monkeypatch):
    used, obtain = models.expected_use("basic-pitch"), models.obtain

    def broken(name):
        if name == "basic-pitch":
            raise ModelCorrupt("nmp.onnx is damaged")
        return obtain(name)

    monkeypatch.setattr(models, "expected_use", lambda name: used)
    monkeypatch.setattr(models, "obtain", broken)
    part = track("melody", play(TUNE, gap=0.0) + 0.7 * play([pitch - 5 for pitch in TUNE], gap=0.0), helpers=("basic-pitch",))
    assert part.notes
    assert part.harmony == ()
    assert any("nmp.onnx is damaged" in warning for warning in part.report.warnings)


def heard(part, line):
    """The pitches found, less what pYIN hears an octave lower where a pitch lies above the range."""
    found = {note.midi for note in part.notes}
    octaves_below = {midi - 12 for midi in line} - set(line)
    return found - octaves_below if part.report.engine == "pyin" else found


@pytest.mark.parametrize("engine", ["swift-f0", "pyin"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {59, 60, 62, 64, 65, 67}),
        ({"min_midi": 61, "max_midi": 72}, {62, 64, 65, 67}),
        ({"max_midi": 63}, {59, 60, 62}),
        ({"min_midi": 66}, {67}),
    ],
)
def test_the_range_of_the_melody_is_an_option(track, play, engine, options, expected):
    part = track("melody", play(TUNE), [engine], **options)
    assert heard(part, TUNE) == expected


@pytest.mark.parametrize("engine", ["swift-f0", "pyin"])
@pytest.mark.parametrize(("options", "expected"), [({}, {28, 33, 40, 43}), ({"min_midi": 30, "max_midi": 41}, {33, 40})])
def test_the_range_of_the_bass_is_an_option(track, play, engine, options, expected):
    line = [28, 33, 40, 43, 33]
    part = track("bass", play(line, note_sec=0.5), [engine], **options)
    assert heard(part, line) == expected


@pytest.mark.parametrize("options", [{"min_midi": 70, "max_midi": 60}, {"min_midi": 5}, {"max_midi": 70.5}])
def test_a_senseless_range_is_refused(track, play, options):
    with pytest.raises(OptionInvalid, match="range of the melody"):
        track("melody", play([60]), **options)


def test_pyin_takes_over_where_the_network_is_missing(track, play, monkeypatch):
    def missing(name):
        raise ModelUnavailable(f"{name} is not here")

    monkeypatch.setattr(models, "obtain", missing)
    part = track("melody", play(TUNE), ["swift-f0", "pyin"])
    assert [note.midi for note in part.notes] == TUNE
    assert part.report.status == "degraded"
    assert "swift-f0 is not here" in part.report.degraded_because[0]


def test_all_engines_failing_is_one_error_that_names_them(track, play, monkeypatch):
    from tasks.melody_bass import pyin_engine, swift_engine

    def fail(*_args, **_kwargs):
        raise RuntimeError("no")

    monkeypatch.setattr(swift_engine, "track_pitch", fail)
    monkeypatch.setattr(pyin_engine, "track_pitch", fail)
    with pytest.raises(EngineFailed, match=r"swift-f0: RuntimeError: no; pyin: RuntimeError: no"):
        track("melody", play([60]), ["swift-f0", "pyin"])


def test_the_same_stem_gives_the_same_part(track, play):
    first, second = (track("melody", play(TUNE)) for _ in range(2))
    assert first.content_hash() == second.content_hash()


@pytest.mark.parametrize("seconds", [0.01, 0.2])
def test_the_shortest_stems_are_no_trouble(track, seconds):
    assert track("bass", 0.1 * np.ones(int(seconds * 44100))).notes == ()


@pytest.mark.parametrize("engine", ["swift-f0", "pyin"])
def test_a_part_that_plays_for_a_moment_is_found(track, play, engine):
    rest = 1e-4 * np.random.default_rng(2).standard_normal(20 * 44100)
    part = track("melody", np.concatenate([rest, play([60, 64]), rest]), [engine])
    assert [note.midi for note in part.notes] == [60, 64]


def test_the_room_after_a_sung_note_is_no_part_of_it(track, play):
    """A note of 0.36 s whose sound then dies away, 20 dB down, until the next one."""
    tone = play([60, 64, 67], note_sec=1.2, gap=0.0)
    time = np.arange(len(tone)) / 44100 % 1.2
    sung = tone * np.where(time < 0.6, 1.0, np.where(time < 0.64, 10 ** (-20 * (time - 0.6) / 0.04 / 20), 0.1))
    band = play([76, 79, 74], note_sec=1.2) + play([55, 59, 62], note_sec=1.2)  # or the recording would be one line alone
    part = track("melody", sung, mix=sung + band)
    assert [note.midi for note in part.notes] == [60, 64, 67]
    np.testing.assert_allclose([note.end - note.start for note in part.notes], 0.62, atol=0.08)
