from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from schemas.results import (
    Beat,
    BeatsKey,
    Chord,
    KeySpan,
    LyricLine,
    Lyrics,
    MeterSpan,
    Note,
    Part,
    PitchBend,
    Section,
    StepReport,
    Structure,
    Tempo,
    Word,
)
from tasks.evaluation.annotations import Annotations, PitchTrack, Span, TimedWord, TrueNote
from tasks.evaluation.scores import beats, chords, key, lyrics, notes, separation, structure

BEATS = tuple(0.5 * n for n in range(1, 41))


def beats_key(times: tuple[float, ...], *, bpm: float = 120.0, spans: tuple[KeySpan, ...] = (), confidence: float = 0.8) -> BeatsKey:
    meter = MeterSpan(start=0, end=21, numerator=4, denominator=4, confidence=1)
    return BeatsKey(
        report=StepReport(step="beats_key"),
        beats=tuple(Beat(time=t, position=n % 4 + 1, confidence=confidence) for n, t in enumerate(times)),
        tempo=Tempo(bpm_global=bpm, confidence=1, curve=(), candidates=()),
        meter=meter,
        meter_changes=(meter,),
        key_spans=spans,
        global_key=max(spans, key=lambda span: span.end - span.start) if spans else None,
    )


def key_span(start: float, end: float, tonic: str, mode: str) -> KeySpan:
    return KeySpan(start=start, end=end, tonic=tonic, mode=mode, confidence=0.5)  # type: ignore[arg-type]


def part(*found: Note) -> Part:
    return Part(
        report=StepReport(step="melody"), part="melody", notes=found, lowest_midi=0, highest_midi=0, polyphonic=False, polyphonic_share=0
    )


def note(start: float, end: float, midi: int, **rest: object) -> Note:
    return Note(start=start, end=end, midi=midi, cents=0, confidence=0.5, **rest)  # type: ignore[arg-type]


def words(*texts: tuple[float, str]) -> tuple[TimedWord, ...]:
    return tuple(TimedWord(start, start + 0.2, text) for start, text in texts)


def heard(*lines: tuple[tuple[float, str], ...]) -> Lyrics:
    return Lyrics(
        report=StepReport(step="asr"),
        language="en",
        language_confidence=1,
        voice_activity=(),
        input="mix",
        lines=tuple(
            LyricLine(
                start=line[0][0],
                end=line[-1][0] + 0.2,
                text=" ".join(text for _, text in line),
                confidence=0.9,
                words=tuple(Word(start=start, end=start + 0.2, text=text, confidence=0.9) for start, text in line),
            )
            for line in lines
        ),
    )


# --- beats -----------------------------------------------------------------------------------------------------------------------------


def test_the_right_beats_score_one_and_those_twice_as_fast_are_right_in_tempo_two_only() -> None:
    truth = Annotations(beats=BEATS, downbeats=BEATS[::4], meter=4, tempo_bpm=120.0)
    right = beats.score_beats(truth, beats_key(BEATS))
    assert right == {"beat_f": 1, "cmlt": 1, "amlt": 1, "downbeat_f": 1, "tempo_acc2": 1, "tempo_acc1": 1, "meter": 1}
    fast = beats.score_beats(truth, beats_key(tuple(0.25 * n for n in range(2, 81)), bpm=240.0))
    assert fast["beat_f"] == pytest.approx(2 / 3, abs=0.02)
    assert (fast["cmlt"], fast["tempo_acc1"], fast["tempo_acc2"]) == (0.0, 0.0, 1.0)
    assert fast["amlt"] > 0.95


def test_a_beat_counts_within_seventy_milliseconds() -> None:
    assert beats.f_measure(BEATS, [beat + 0.06 for beat in BEATS]) == 1.0
    assert beats.f_measure(BEATS, [beat + 0.08 for beat in BEATS]) == 0.0


def test_without_the_beats_octave_only_tempo_two_is_scored() -> None:
    assert beats.score_beats(Annotations(tempo_bpm=60.0), beats_key(BEATS)) == {"tempo_acc2": 1.0}


def test_hits_of_beats_go_with_their_confidence() -> None:
    found = beats_key((1.0, 1.2), confidence=0.3)
    assert beats.beat_hits(Annotations(beats=BEATS), found) == [(0.3, True), (0.3, False)]


# --- key -------------------------------------------------------------------------------------------------------------------------------


def test_keys_are_weighted_as_by_mirex_and_along_time() -> None:
    truth = Annotations(keys=(Span(0, 10, "C major"), Span(10, 30, "D major")))
    found = beats_key(BEATS, spans=(key_span(0, 10, "A", "minor"), key_span(10, 30, "D", "major")))
    scores = key.score_key(truth, found)
    assert scores["key_weighted"] == 1.0
    assert scores["key_along_time"] == scores["key_with_changes"] == pytest.approx((10 * 0.3 + 20 * 1.0) / 30)
    assert key.key_hits(truth, found) == [(0.5, True)]


def test_no_key_found_scores_nothing() -> None:
    assert key.score_key(Annotations(keys=(Span(0, 1, "C major"),)), beats_key(BEATS)) == {"key_weighted": 0.0, "key_along_time": 0.0}


# --- chords ----------------------------------------------------------------------------------------------------------------------------


def a_chord(start: float, end: float, label: str) -> Chord:
    return Chord(
        start=start,
        end=end,
        label=label,
        display=label,
        root=None,
        quality=None,
        bass=None,
        confidence=0.7,
        start_beat=None,
        end_beat=None,
    )


def test_chords_are_scored_by_vocabulary() -> None:
    truth = Annotations(chords=(Span(0, 2, "C:maj7"), Span(2, 4, "A:min")))
    found = (a_chord(0, 2, "C:maj"), a_chord(2, 4, "A:maj"))
    scores = chords.score_chords(truth, found)
    assert (scores["root"], scores["majmin"], scores["sevenths"]) == (1.0, 0.5, 0.0)
    assert scores["over_segmentation"] == scores["under_segmentation"] == 1.0
    assert (scores["tetrads"], scores["tetrads_inv"]) == (0.0, 0.0)


def test_a_chord_is_a_hit_only_as_it_is_printed() -> None:
    truth = Annotations(chords=(Span(0, 2, "C:maj7"), Span(2, 4, "A:min/b3"), Span(4, 6, "G:sus4"), Span(6, 8, "X")))
    printed = ("C:maj7", "A:min", "G:maj", "D:maj")
    found = [a_chord(2.0 * number, 2.0 * number + 2, label) for number, label in enumerate(printed)]
    assert chords.chord_hits(truth, found) == [(0.7, True), (0.7, False), (0.7, False)]


# --- melody and bass -------------------------------------------------------------------------------------------------------------------


def test_notes_match_one_to_one_within_the_tolerance() -> None:
    truth = [TrueNote(1.0, 1.5, 60), TrueNote(2.0, 2.5, 62)]
    assert notes.note_f(truth, [TrueNote(1.04, 1.2, 60.4), TrueNote(2.09, 2.2, 62)], 0.05, True) == 0.5
    assert notes.note_f(truth, [TrueNote(1.04, 1.2, 60.4), TrueNote(2.09, 2.2, 62)], 0.1, True) == 1.0
    assert notes.note_f(truth, [TrueNote(1.0, 1.2, 60), TrueNote(1.01, 1.2, 60)], 0.1, True) == 0.5
    assert notes.note_f(truth, [], 0.1, True) == 0.0


def test_pitches_lie_on_a_circle_where_the_octave_is_not_known() -> None:
    truth, octave_up = [TrueNote(1.0, 1.5, 59.8)], [TrueNote(1.0, 1.5, 72.1)]
    assert notes.note_f(truth, octave_up, 0.05, octave_known=False) == 1.0
    assert notes.note_f(truth, octave_up, 0.05, octave_known=True) == 0.0


def test_frames_count_by_pitch_chroma_and_voicing() -> None:
    truth = Annotations(melody=(TrueNote(0.0, 1.0, 60), TrueNote(1.0, 2.0, 64)))
    scores = notes.score_melody(truth, part(note(0.0, 1.0, 72), note(1.0, 1.5, 64)))
    assert scores["raw_chroma"] == pytest.approx(0.75, abs=0.01)
    assert scores["raw_pitch"] == pytest.approx(0.25, abs=0.01)
    assert scores["voicing_recall"] == pytest.approx(0.75, abs=0.01)


def test_notes_follow_their_bends_where_they_have_some() -> None:
    bent = part(note(0.0, 1.0, 60, bends=(PitchBend(time=0.0, midi=60.0), PitchBend(time=1.0, midi=61.0))))
    assert notes.sample(bent, np.array([0.0, 0.5, 0.995])) == pytest.approx([261.63, 261.63, 277.18], abs=0.01)


def test_the_bass_is_scored_note_by_note_where_its_notes_are_known() -> None:
    truth = Annotations(bass=(TrueNote(0.0, 1.0, 33), TrueNote(1.0, 2.0, 40)))
    whole, cut = part(note(0.0, 1.0, 33), note(1.0, 2.0, 40)), part(note(0.0, 0.5, 33), note(0.5, 1.0, 33), note(1.0, 2.0, 28))
    assert notes.score_bass(truth, None, whole) == {"note_f_50ms": 1.0, "note_f_100ms": 1.0}
    assert notes.score_bass(truth, None, cut)["note_f_50ms"] == pytest.approx(2 / 5)


def test_the_bass_is_scored_against_a_pitch_track() -> None:
    truth = PitchTrack((0.0, 0.1, 0.2, 0.3), (0.0, 55.0, 55.0, 55.0))
    scores = notes.score_bass(Annotations(), truth, part(note(0.0, 0.25, 33)))
    assert scores["raw_pitch"] == pytest.approx(2 / 3)
    assert scores["voicing_false_alarm"] == 1.0


def test_hits_of_notes_are_those_matched() -> None:
    truth = Annotations(melody=(TrueNote(1.0, 1.5, 60),))
    assert notes.note_hits(truth, part(note(1.0, 1.5, 60), note(3.0, 3.5, 60))) == [(0.5, True), (0.5, False)]


# --- structure -------------------------------------------------------------------------------------------------------------------------


def section(start: float, end: float, label: str, group: str = "A") -> Section:
    return Section(start=start, end=end, label=label, index=1, group=group, confidence=0.6)  # type: ignore[arg-type]


def test_boundaries_and_functions() -> None:
    truth = Annotations(sections=(Span(0, 10, "intro"), Span(10, 30, "verse"), Span(30, 50, "chorus")))
    sections = (section(0, 11, "intro"), section(11, 30, "prechorus"), section(30, 50, "solo"))
    scores = structure.score_structure(truth, Structure(report=StepReport(step="structure"), sections=sections, coarse=(), fine=()))
    assert (scores["hr_0.5s"], scores["hr_2s"], scores["hr_3s"]) == (0.5, 1.0, 1.0)
    assert scores["label_accuracy"] == pytest.approx((10 + 19) / 50)
    hits = structure.section_hits(truth, Structure(report=StepReport(step="structure"), sections=sections, coarse=(), fine=()))
    assert hits == [(0.6, True), (0.6, True), (0.6, False)]


def test_phrases_are_compared_with_the_fine_level() -> None:
    truth = Annotations(sections=(Span(5, 15, "A"), Span(15, 25, "B"), Span(25, 35, "A")), section_labels="letters")
    fine = (section(0, 15, "section", "X"), section(15, 25, "section", "Y"), section(25, 40, "section", "X"))
    scores = structure.score_structure(truth, Structure(report=StepReport(step="structure"), sections=(), coarse=(), fine=fine))
    assert scores == {"hr_0.5s": 1.0, "hr_2s": 1.0, "hr_3s": 1.0, "pairwise_f": 1.0}


def test_a_boundary_at_the_very_start_of_the_annotation_leaves_no_empty_section() -> None:
    truth = Annotations(sections=(Span(5, 15, "A"), Span(15, 25, "B")), section_labels="letters")
    fine = (section(0, 5, "section", "X"), section(5, 15, "section", "Y"), section(15, 30, "section", "Z"))
    scores = structure.score_structure(truth, Structure(report=StepReport(step="structure"), sections=(), coarse=(), fine=fine))
    assert scores["hr_0.5s"] == 1.0


# --- lyrics ----------------------------------------------------------------------------------------------------------------------------


def test_words_are_compared_after_whispers_normaliser() -> None:
    truth = Annotations(words=words((1.0, "Don't"), (2.0, "colour"), (3.0, "Me!")), lines=(), language="en")
    scores = lyrics.score_lyrics(truth, heard(((1.1, "do"), (1.2, "not"), (2.4, "color"), (3.0, "you"))))
    assert scores["wer"] == pytest.approx(0.25)  # do not color me | do not color you
    assert scores["onset_median_sec"] == pytest.approx(0.2)
    assert scores["onset_within_0.3s"] == pytest.approx(2 / 3)


def test_line_breaks_have_an_f1() -> None:
    truth = Annotations(
        words=words((1.0, "one"), (2.0, "two"), (3.0, "three"), (4.0, "four")),
        lines=(TimedWord(1, 2, "one two"), TimedWord(3, 4, "three four")),
        language="en",
    )
    right = heard(((1.0, "one"), (2.0, "two")), ((3.0, "three"), (4.0, "four")))
    assert lyrics.score_lyrics(truth, right)["line_f"] == 1.0
    assert lyrics.score_lyrics(truth, heard(((1.0, "one"), (2.0, "two"), (3.0, "three"), (4.0, "four"))))["line_f"] == 0.0


def test_words_where_nothing_is_sung_are_invented() -> None:
    assert lyrics.score_lyrics(Annotations(words=()), heard(((1.0, "thank"), (1.2, "you")))) == {"invented_words": 2.0}
    assert lyrics.word_hits(Annotations(words=()), heard(((1.0, "thank"),))) == [(0.9, False)]


def test_hearing_nothing_is_an_error_rate_of_one() -> None:
    scores = lyrics.word_figures(words((1.0, "one")), [], "en")
    assert (scores["wer"], scores["onset_within_0.3s"]) == (1.0, 0.0)
    assert np.isnan(scores["onset_median_sec"])


def test_hits_of_words_are_those_aligned() -> None:
    truth = Annotations(words=words((1.0, "one"), (2.0, "two")), language="en")
    assert lyrics.word_hits(truth, heard(((1.0, "one"), (2.0, "too")))) == [(0.9, True), (0.9, False)]


# --- separation ------------------------------------------------------------------------------------------------------------------------


def test_stems_are_scored_in_decibels(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    voice, drums, noise = rng.normal(scale=0.1, size=(3, 44100, 2))
    files = {}
    silence = np.zeros_like(voice)
    for name, sound in {"v": voice, "v+": voice + 0.1 * noise, "d": drums, "o": silence, "mix": voice + 0.1 * noise + drums}.items():
        files[name] = tmp_path / f"{name}.wav"
        soundfile.write(files[name], sound, 44100, subtype="FLOAT")
    found = {"vocals": files["v+"], "drums": files["d"], "bass": files["o"], "other": files["o"]}
    scores = separation.score_stems({"vocals": files["v"], "other": files["o"]}, found, files["mix"])  # type: ignore[arg-type]
    assert scores["sdr_vocals"] == pytest.approx(20.0, abs=0.2)
    assert scores["si_sdr_vocals"] == pytest.approx(20.0, abs=0.2)
    assert scores["bss_sdr_vocals"] == pytest.approx(20.0, abs=0.5)
    assert scores["residual_db"] < -70
    assert "sdr_other" not in scores  # silent in truth
    assert "sdr_drums" not in scores  # not known
