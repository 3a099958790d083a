"""Joining the results of the steps into one Song Map. Pure: nothing is read or written here.

Times are rounded to the microsecond, once and everywhere alike, so that times that were equal stay equal. What a failed step would have
brought stays empty.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise

from schemas import results as r
from schemas import song_map as m
from schemas.options import AnalysisOptions
from tasks.packager.outcomes import Outcome, refuse_without_required, result_of, status_of

_DIGITS = 6
STEPS: tuple[r.StepName, ...] = ("ingest", "separation", "beats_key", "asr", "chords", "melody", "bass", "structure")


def join_song_map(
    outcomes: Mapping[r.StepName, Outcome], file_name: str, options: AnalysisOptions, flow_run: str, stems_folder: str | None
) -> m.SongMap:
    """The Song Map of a run. Raises the error of a required step that failed.

    outcomes: one for each of `STEPS`. stems_folder: where the stems lie relative to the map, or None if they are not written.
    """
    refuse_without_required(outcomes)
    source, beats = outcomes["ingest"], outcomes["beats_key"]
    assert isinstance(source, r.SongSource)
    assert isinstance(beats, r.BeatsKey)
    lyrics = result_of(outcomes["asr"], r.Lyrics)
    chords = result_of(outcomes["chords"], r.Chords)
    structure = result_of(outcomes["structure"], r.Structure)
    stems = result_of(outcomes["separation"], r.StemSet)
    melody, bass = result_of(outcomes["melody"], r.Part), result_of(outcomes["bass"], r.Part)
    steps = m.Steps.model_validate({step: status_of(outcomes[step], flow_run) for step in STEPS})
    lacking = any(step.status in ("failed", "skipped") for _, step in steps)
    return m.SongMap(
        id=source.song_id,
        status="partial" if lacking else "complete",
        title=source.tags.title or title_from(file_name),
        duration_sec=_t(source.duration_sec),
        tempo=_tempo(beats.tempo),
        meter=_meter(beats),
        beats=tuple(_t(beat.time) for beat in beats.beats),
        downbeats=tuple(_t(time) for time in beats.downbeats),
        key=tuple(m.Key(start=_t(k.start), end=_t(k.end), tonic=k.tonic, mode=k.mode, conf=_c(k.confidence)) for k in beats.key_spans),
        chords=tuple(_chord(chord) for chord in chords.chords) if chords else (),
        sections=tuple(_section(section) for section in structure.sections) if structure else (),
        lyrics=tuple(_line(line) for line in lyrics.lines) if lyrics else (),
        performance=m.Performance(
            melody=_notes(melody), bass=_notes(bass), parts=m.Parts(melody=_part_facts(melody), bass=_part_facts(bass))
        ),
        provenance=_provenance(options, flow_run),
        beat_conf=tuple(_c(beat.confidence) for beat in beats.beats),
        bars=bars_of(beats.beats, source.duration_sec),
        levels=_levels(structure),
        voice=_voice(lyrics),
        stems=_stems(stems, stems_folder),
        stems_residual_db=round(stems.residual_db, 2) if stems else None,
        source=_source(source, file_name),
        steps=steps,
    )


def title_from(file_name: str) -> str:
    """A title for a song without tags: the file's name without its ending, underscores as spaces."""
    stem = file_name.rsplit(".", 1)[0] if "." in file_name[1:] else file_name
    return " ".join(stem.replace("_", " ").split()) or file_name or "untitled"


def bars_of(beats: tuple[r.Beat, ...], duration_sec: float) -> tuple[m.Bar, ...]:
    """The bars that begin with a downbeat. The last one ends one median beat after its last beat, at most at the song's end."""
    starts = [index for index, beat in enumerate(beats) if beat.position == 1]
    if not starts:
        return ()
    gaps = sorted(b.time - a.time for a, b in pairwise(beats))
    typical = gaps[len(gaps) // 2] if gaps else duration_sec
    grid_end = min(duration_sec, beats[-1].time + typical)
    ends = [beats[index].time for index in starts[1:]] + [grid_end]
    counts = [b - a for a, b in pairwise([*starts, len(beats)])]
    return tuple(
        m.Bar(start=_t(beats[first].time), end=_t(end), first_beat=first, beats=count)
        for first, end, count in zip(starts, ends, counts, strict=True)
        if end > beats[first].time
    )


def _t(seconds: float) -> float:
    return round(float(seconds), _DIGITS)


def _c(confidence: float) -> float:
    return round(float(confidence), 4)


def _tempo(tempo: r.Tempo) -> m.Tempo:
    return m.Tempo(
        bpm_global=round(tempo.bpm_global, 3) if tempo.bpm_global is not None else None,
        curve=tuple((_t(point.time), round(point.bpm, 3)) for point in tempo.curve),
        confidence=_c(tempo.confidence),
        candidates=tuple(m.TempoCandidate(bpm=round(c.bpm, 3), weight=_c(c.weight)) for c in tempo.candidates),
    )


def _meter(beats: r.BeatsKey) -> m.Meter:
    main = beats.meter
    changes = tuple(
        m.MeterChange(start=_t(c.start), end=_t(c.end), numerator=c.numerator, denominator=c.denominator, conf=_c(c.confidence))
        for c in beats.meter_changes
    )
    return m.Meter(numerator=main.numerator, denominator=main.denominator, conf=_c(main.confidence), changes=changes)


def _chord(chord: r.Chord) -> m.Chord:
    return m.Chord(
        start=_t(chord.start),
        end=_t(chord.end),
        label=chord.label,
        conf=_c(chord.confidence),
        display=chord.display,
        root=chord.root,
        quality=chord.quality,
        bass=chord.bass,
        start_beat=chord.start_beat,
        end_beat=chord.end_beat,
        alternatives=tuple(m.ChordAlternative(label=a.label, display=a.display, conf=_c(a.confidence)) for a in chord.alternatives[:3]),
    )


def _section(section: r.Section) -> m.Section:
    return m.Section(
        start=_t(section.start),
        end=_t(section.end),
        label=section.label,
        index=section.index,
        group=section.group,
        conf=_c(section.confidence),
    )


def _levels(structure: r.Structure | None) -> m.Levels:
    if structure is None:
        return m.Levels(coarse=(), fine=(), repeats=())
    groups: dict[str, list[int]] = {}
    for index, section in enumerate(structure.sections):
        groups.setdefault(section.group, []).append(index)
    return m.Levels(
        coarse=tuple(_section(section) for section in structure.coarse),
        fine=tuple(_section(section) for section in structure.fine),
        repeats=tuple(m.Repeat(group=group, sections=tuple(where)) for group, where in groups.items() if len(where) > 1),
    )


def _line(line: r.LyricLine) -> m.LyricLine:
    return m.LyricLine(
        start=_t(line.start),
        end=_t(line.end),
        text=line.text,
        conf=_c(line.confidence),
        words=tuple(
            m.Word(
                start=_t(word.start),
                end=_t(word.end),
                text=word.text,
                conf=_c(word.confidence),
                syllables=tuple(m.Syllable(start=_t(s.start), end=_t(s.end), text=s.text) for s in word.syllables),
            )
            for word in line.words
        ),
    )


def _voice(lyrics: r.Lyrics | None) -> m.Voice:
    if lyrics is None:
        return m.Voice(language=None, language_conf=None, activity=(), transcribed_from=None)
    return m.Voice(
        language=lyrics.language,
        language_conf=_c(lyrics.language_confidence) if lyrics.language_confidence is not None else None,
        activity=tuple((_t(span.start), _t(span.end)) for span in lyrics.voice_activity),
        transcribed_from=lyrics.input,
    )


def _notes(part: r.Part | None) -> tuple[m.Note, ...]:
    if part is None:
        return ()
    return tuple(
        m.Note(
            start=_t(note.start),
            end=_t(note.end),
            midi=note.midi,
            conf=_c(note.confidence),
            cents=round(note.cents, 1),
            bends=tuple((_t(bend.time), round(bend.midi, 3)) for bend in note.bends),
        )
        for note in part.notes
    )


def _part_facts(part: r.Part | None) -> m.PartFacts | None:
    if part is None:
        return None
    return m.PartFacts(
        lowest_midi=part.lowest_midi,
        highest_midi=part.highest_midi,
        polyphonic=part.polyphonic,
        polyphonic_share=_c(part.polyphonic_share),
    )


def _stems(stems: r.StemSet | None, folder: str | None) -> tuple[m.Stem, ...]:
    if stems is None:
        return ()
    refs = {name: stems.stem(name) for name in r.STEMS} | {"instrumental": stems.instrumental}
    return tuple(
        m.Stem.model_validate(
            {
                "name": name,
                "path": f"{folder}/{name}.wav" if folder else None,
                "sha256": ref.sha256,
                "sample_rate": ref.sample_rate,
                "channels": ref.channels,
            }
        )
        for name, ref in refs.items()
    )


def _source(source: r.SongSource, file_name: str) -> m.Source:
    return m.Source(
        file_name=file_name,
        file_sha256=source.file_sha256,
        file_bytes=source.file_bytes,
        audio_sha256=source.audio.sha256,
        container=source.container,
        codec=source.codec,
        decoder=source.decoder,
        original_sample_rate=source.original_sample_rate,
        original_channels=source.original_channels,
        tags=m.Tags(**source.tags.model_dump()),
        loudness=m.Loudness(**source.loudness.model_dump()),
    )


def _provenance(options: AnalysisOptions, flow_run: str) -> m.Provenance:
    try:
        performia = version("performia")
    except PackageNotFoundError:  # run from a checkout that is not installed
        performia = "unknown"
    return m.Provenance(
        performia=performia,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        flow_run=flow_run or None,
        options=options.model_dump(mode="json"),
    )
