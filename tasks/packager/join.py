"""Joining the results of the steps into one Song Map. Pure: nothing is read or written here.

Nothing is left out or moved but by rounding: times to the microsecond (see `times`), confidences to four digits; and the chords, which are
heard before the beats are settled, are set on the beats and spelled in the key; and words are divided into syllables at the notes of the
melody. What a failed step would have brought stays empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from schemas import results as r
from schemas import song_map as m
from schemas.options import AnalysisOptions
from schemas.song_folder import stem_path
from schemas.sound_format import SoundFormat
from tasks.common.bars import bar_spans
from tasks.common.harmony.on_beats import on_beats
from tasks.common.syllables.timing import timed_syllables
from tasks.packager.agreement import contradictions
from tasks.packager.headers import named_by_headers
from tasks.packager.step_results import StepResults, require, result_of, statuses_of, whole_characters
from tasks.packager.times import Times


def join_song_map(
    results: StepResults, file_name: str, options: AnalysisOptions, flow_run: str, with_stems: bool, performia: str, created: str
) -> m.SongMap:
    """The Song Map of a run, as the steps would have it: nothing is checked here, for `validation` finds all problems, with their paths.

    results: of every step; one that is not in it did not run. with_stems: whether the stems are written beside the map.
    performia: the version. created: now, as ISO 8601 in UTC.
    Raises ingest's own error, or RequiredStepFailed where another required step failed.
    """
    source, beats = require(results)
    lyrics = result_of(results.get("asr"), r.Lyrics)
    aligned = result_of(results.get("align"), r.AlignedLyrics)
    chords = result_of(results.get("chords"), r.Chords)
    structure = result_of(results.get("structure"), r.Structure)
    stems = result_of(results.get("separation"), r.StemSet)
    melody, bass = result_of(results.get("melody"), r.Part), result_of(results.get("bass"), r.Part)
    on_grid = on_beats(chords, beats, source.duration_sec) if chords else ()
    steps = statuses_of(results, flow_run, {"beats_key": contradictions(beats.beats, on_grid, beats.key_spans)})
    lacking = any(step.status in ("failed", "skipped") for _, step in steps)
    times = Times(source.duration_sec, (beat.time for beat in beats.beats))
    onsets = [note.start for note in melody.notes] if melody else []
    name = whole_characters(file_name)
    return m.SongMap.model_construct(
        schema_version=m.SCHEMA_VERSION,
        id=source.song_id,
        status="partial" if lacking else "complete",
        title=(source.tags.title or "").strip() or title_from(name),
        duration_sec=times.duration,
        tempo=_tempo(beats.tempo, times),
        meter=_meter(beats, times),
        beats=tuple(times.event(beat.time) for beat in beats.beats),
        downbeats=tuple(times.event(time) for time in beats.downbeats),
        key=tuple(
            m.Key.model_construct(
                start=times.boundary(k.start), end=times.boundary(k.end), tonic=k.tonic, mode=k.mode, conf=_conf(k.confidence)
            )
            for k in beats.key_spans
        ),
        chords=tuple(_chord(chord, times) for chord in on_grid),
        sections=tuple(_section(section, times) for section in named_by_headers(structure.sections, aligned)) if structure else (),
        lyrics=tuple(_line(line, lyrics.language if lyrics else None, onsets, times) for line in _lines(lyrics, aligned)),
        performance=m.Performance.model_construct(
            melody=_notes(melody.notes if melody else (), times),
            bass=_notes(bass.notes if bass else (), times),
            harmony=_notes(melody.harmony if melody else (), times),
            parts=m.Parts.model_construct(melody=_part_facts(melody), bass=_part_facts(bass)),
        ),
        provenance=m.Provenance.model_construct(
            performia=performia,
            created=created,
            flow_run=flow_run or None,
            options=m.Options.model_construct(**options.chosen()),
        ),
        beat_conf=tuple(_conf(beat.confidence) for beat in beats.beats),
        bars=bars_of(beats.beats, times),
        levels=_levels(structure, times),
        voice=_voice(lyrics, aligned, times),
        stems=_stems(stems, options.stems_format if with_stems else None),
        stems_residual_db=round(stems.residual_db, 2) if stems else None,
        source=_source(source, name),
        steps=steps,
    )


def title_from(file_name: str) -> str:
    """A title for a song without tags: the file's name without its ending, underscores as spaces."""
    stem = file_name.rsplit(".", 1)[0] if "." in file_name[1:] else file_name
    return " ".join(stem.replace("_", " ").split()) or file_name or "untitled"


def bars_of(beats: tuple[r.Beat, ...], times: Times) -> tuple[m.Bar, ...]:
    """The bars: see `bar_spans`."""
    at = [times.event(beat.time) for beat in beats]
    return tuple(
        m.Bar.model_construct(start=bar.start, end=times.event(bar.end), first_beat=bar.first_beat, beats=bar.beats)
        for bar in bar_spans(at, [beat.position for beat in beats], times.duration)
    )


def _conf(confidence: float) -> float:
    return round(confidence, 4)


def _tempo(tempo: r.Tempo, times: Times) -> m.Tempo:
    return m.Tempo.model_construct(
        bpm_global=round(tempo.bpm_global, 3) if tempo.bpm_global is not None else None,
        curve=tuple((times.boundary(point.time), round(point.bpm, 3)) for point in tempo.curve),
        confidence=_conf(tempo.confidence),
        candidates=tuple(m.TempoCandidate.model_construct(bpm=round(c.bpm, 3), weight=_conf(c.weight)) for c in tempo.candidates),
    )


def _meter(beats: r.BeatsKey, times: Times) -> m.Meter:
    main = beats.meter
    changes = tuple(
        m.MeterChange.model_construct(
            start=times.boundary(c.start),
            end=times.boundary(c.end),
            numerator=c.numerator,
            denominator=c.denominator,
            conf=_conf(c.confidence),
        )
        for c in beats.meter_changes
    )
    return m.Meter.model_construct(numerator=main.numerator, denominator=main.denominator, conf=_conf(main.confidence), changes=changes)


def _chord(chord: r.Chord, times: Times) -> m.Chord:
    return m.Chord.model_construct(
        start=times.boundary(chord.start),
        end=times.boundary(chord.end),
        label=chord.label,
        conf=_conf(chord.confidence),
        display=chord.display,
        root=chord.root,
        quality=chord.quality,
        bass=chord.bass,
        start_beat=chord.start_beat,
        end_beat=chord.end_beat,
        alternatives=tuple(
            m.ChordAlternative.model_construct(label=a.label, display=a.display, conf=_conf(a.confidence)) for a in chord.alternatives[:3]
        ),
    )


def _section(section: r.Section, times: Times) -> m.Section:
    return m.Section.model_construct(
        start=times.boundary(section.start),
        end=times.boundary(section.end),
        label=section.label,
        index=section.index,
        group=section.group,
        conf=_conf(section.confidence),
    )


def _levels(structure: r.Structure | None, times: Times) -> m.Levels:
    if structure is None:
        return m.Levels.model_construct(coarse=(), fine=(), repeats=())
    groups: dict[str, list[int]] = {}
    for index, section in enumerate(structure.sections):
        groups.setdefault(section.group, []).append(index)
    return m.Levels.model_construct(
        coarse=tuple(_section(section, times) for section in structure.coarse),
        fine=tuple(_section(section, times) for section in structure.fine),
        repeats=tuple(m.Repeat.model_construct(group=group, sections=tuple(where)) for group, where in groups.items() if len(where) > 1),
    )


def _line(line: r.LyricLine, language: str | None, onsets: Sequence[float], times: Times) -> m.LyricLine:
    return m.LyricLine.model_construct(
        start=times.event(line.start),
        end=times.event(line.end),
        text=line.text,
        conf=_conf(line.confidence),
        words=tuple(
            m.Word.model_construct(
                start=times.event(word.start),
                end=times.event(word.end),
                text=word.text,
                conf=_conf(word.confidence),
                syllables=tuple(
                    m.Syllable.model_construct(start=times.event(start), end=times.event(end), text=text)
                    for start, end, text in _syllables(word, language, onsets)
                ),
            )
            for word in line.words
        ),
    )


def _syllables(word: r.Word, language: str | None, onsets: Sequence[float]) -> Iterable[tuple[float, float, str]]:
    """(start, end, text) of a word's syllables: those it came with, else as its language divides it and the melody goes."""
    if word.syllables:
        return [(syllable.start, syllable.end, syllable.text) for syllable in word.syllables]
    return timed_syllables(word.text, word.start, word.end, language, onsets)


def _lines(lyrics: r.Lyrics | None, aligned: r.AlignedLyrics | None) -> tuple[r.LyricLine, ...]:
    """The given lines where they are of this song, else those that were heard."""
    if aligned is not None and aligned.given.fits:
        return aligned.lines
    return lyrics.lines if lyrics is not None else ()


def _voice(lyrics: r.Lyrics | None, aligned: r.AlignedLyrics | None, times: Times) -> m.Voice:
    if lyrics is None:
        return m.Voice.model_construct(language=None, language_conf=None, activity=(), transcribed_from=None)
    given: dict[str, Any] = {"given": _given(aligned.given, times)} if aligned is not None else {}
    return m.Voice.model_construct(
        **given,
        language=lyrics.language,
        language_conf=_conf(lyrics.language_confidence) if lyrics.language_confidence is not None else None,
        activity=tuple((times.event(span.start), times.event(span.end)) for span in lyrics.voice_activity),
        transcribed_from=lyrics.input,
    )


def _given(given: r.GivenLyrics, times: Times) -> m.GivenLyrics:
    return m.GivenLyrics.model_construct(
        fits=given.fits,
        words=given.words,
        agreement=_conf(given.agreement),
        unplaced=tuple(m.UnplacedWord.model_construct(line=word.line, text=word.text) for word in given.unplaced),
        headers=tuple(m.GivenHeader.model_construct(start=times.event(header.start), text=header.text) for header in given.headers),
    )


def _notes(notes: tuple[r.Note, ...], times: Times) -> tuple[m.Note, ...]:
    return tuple(
        m.Note.model_construct(
            start=times.event(note.start),
            end=times.event(note.end),
            midi=note.midi,
            conf=_conf(note.confidence),
            cents=round(note.cents, 1),
            bends=tuple((times.event(bend.time), round(bend.midi, 3)) for bend in note.bends),
        )
        for note in notes
    )


def _part_facts(part: r.Part | None) -> m.PartFacts | None:
    if part is None:
        return None
    return m.PartFacts.model_construct(
        lowest_midi=part.lowest_midi,
        highest_midi=part.highest_midi,
        polyphonic=part.polyphonic,
        polyphonic_share=_conf(part.polyphonic_share),
    )


def _stems(stems: r.StemSet | None, written: SoundFormat | None) -> tuple[m.Stem, ...]:
    if stems is None:
        return ()
    file: Any = {} if written in (None, SoundFormat.wav_float) else {"format": written.value}
    return tuple(
        m.Stem.model_construct(
            name=name,
            path=stem_path(name, written) if written else None,
            sha256=ref.sha256,
            sample_rate=ref.sample_rate,
            channels=ref.channels,
            **file,
        )
        for name, ref in stem_files(stems).items()
    )


def stem_files(stems: r.StemSet) -> dict[m.SongStem, r.AudioRef]:
    """The files beside a Song Map: the stems, and the mix without the voice."""
    return {"vocals": stems.vocals, "drums": stems.drums, "bass": stems.bass, "other": stems.other, "instrumental": stems.instrumental}


def _source(source: r.SongSource, file_name: str) -> m.Source:
    copied: dict[str, Any] = {"analysed_sha256": source.audio.sha256} if source.audio.sha256 != source.decoded_sha256 else {}
    return m.Source.model_construct(
        file_name=file_name,
        file_sha256=source.file_sha256,
        file_bytes=source.file_bytes,
        audio_sha256=source.decoded_sha256,
        **copied,
        container=source.container,
        codec=source.codec,
        decoder=source.decoder,
        original_sample_rate=source.original_sample_rate,
        original_channels=source.original_channels,
        track=source.track,
        tracks=source.tracks,
        start_sec=round(source.start_sec, 6),
        gain_db=round(source.gain_db, 3),
        offset=source.offset,
        channels=source.channels,
        tags=m.Tags.model_construct(**source.tags.model_dump()),
        loudness=m.Loudness.model_construct(**source.loudness.model_dump()),
    )
