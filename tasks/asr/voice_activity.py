"""Where a voice is heard, from the vocal stem, or from the mix where there is no stem.

A separated vocal stem is nearly silent where nobody sings, so its level against the song's own levels says most. What it cannot say is
whether the little that is left in an instrumental is a voice: there, the speech probability of Silero VAD (the network that comes inside
faster-whisper) has to agree. Levels are in dB re full scale, one frame every `HOP_SEC`.

The thresholds were chosen on Spleeter stems of the nine UltraStar songs, five JamendoLyrics songs, six MedleyDB pieces and
eight instrumentals; see README.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from schemas.results import TimeSpan
from tasks.asr.recognizer import SAMPLE_RATE
from tasks.common.audio import Samples

Frames = npt.NDArray[np.float32]

HOP = 320
HOP_SEC = HOP / SAMPLE_RATE

#: A frame starts a span above the first level and keeps it above the second, both relative to the loud frames (95th percentile) of the
#: stem. On the UltraStar songs, nine of ten frames inside charted words lie above -14 dB, and half of those more than 1.5 s away from any
#: word below -54 dB.
ENTER_DB, STAY_DB = -16.0, -26.0
#: Below these levels of the stem relative to the mix (95th percentiles), a stem is leakage: the songs lie above -7 dB, instrumentals
#: between -13 and -68 dB. In between, the speech probability decides.
CLEAR_DB, LEAKAGE_DB = -10.0, -20.0
#: A share of frames that Silero takes for speech: songs 0.14 and more (shouted punk 0.00, but clearly loud), an electronic track whose
#: synthesizer leaked into the stem at -13 dB 0.06, other instrumentals 0.00.
SPEECH_PROBABILITY, SPEECH_SHARE = 0.5, 0.1
#: Without a stem: Silero on the mix, averaged over a second. Inside words its median is 0.03 to 0.5, elsewhere mostly below 0.03.
MIX_ENTER, MIX_STAY, MIX_SMOOTHING_SEC = 0.12, 0.04, 1.0

MIN_SPAN_SEC = 0.2
MAX_GAP_SEC = 0.5
MARGIN_SEC = 0.1


def frame_levels(samples: Samples) -> Frames:
    """Level of each frame in dB: (frames,) from (samples,) at 16 kHz. The last frame may be shorter."""
    count = -(-len(samples) // HOP)
    power = np.zeros(count, np.float32)
    for first in range(0, count, 4096):
        block = samples[first * HOP : (first + 4096) * HOP]
        squares = np.square(np.pad(block, (0, -len(block) % HOP))).reshape(-1, HOP)
        power[first : first + len(squares)] = squares.mean(axis=1)
    levels: Frames = (10 * np.log10(power + 1e-12)).astype(np.float32)
    return levels


def speech_probabilities(samples: Samples) -> Frames:
    """Silero VAD's probability of speech per frame (its own 32 ms windows, repeated onto ours): (frames,) from (samples,) at 16 kHz."""
    from faster_whisper.vad import get_vad_model

    window, block = 512, 512 * 1000  # the network's window; blocks, since it copies what it is given several times
    network = get_vad_model()
    found = [
        np.asarray(network(np.pad(samples[start : start + block], (0, -len(samples[start : start + block]) % window)))).reshape(-1)
        for start in range(0, len(samples), block)
    ]
    count = -(-len(samples) // HOP)
    if not found:
        return np.zeros(count, np.float32)
    probabilities = np.concatenate(found)
    nearest = (np.arange(count) * HOP) // window
    return probabilities[np.minimum(nearest, len(probabilities) - 1)].astype(np.float32)


def voice_in_stem(vocals_db: Frames, mix_db: Frames, speech: Frames, duration_sec: float) -> tuple[TimeSpan, ...]:
    """Spans with a voice, sorted and disjoint, from the frame levels of the vocal stem and the mix and the stem's speech probabilities.

    Empty where the stem holds no more than leakage.
    """
    if len(vocals_db) == 0 or not _holds_voice(vocals_db, mix_db, speech):
        return ()
    loud = float(np.percentile(vocals_db, 95))
    return _spans(_hysteresis(vocals_db, loud + ENTER_DB, loud + STAY_DB), duration_sec)


def voice_in_mix(speech: Frames, duration_sec: float) -> tuple[TimeSpan, ...]:
    """Spans with a voice from the speech probabilities of a mix alone: coarse, and blind to voices buried in loud music."""
    if len(speech) == 0:
        return ()
    width = round(MIX_SMOOTHING_SEC / HOP_SEC)
    smooth = np.convolve(speech, np.ones(width) / width, mode="same").astype(np.float32)
    return _spans(_hysteresis(smooth, MIX_ENTER, MIX_STAY), duration_sec)


def _holds_voice(vocals_db: Frames, mix_db: Frames, speech: Frames) -> bool:
    level = float(np.percentile(vocals_db, 95) - np.percentile(mix_db, 95))
    if level >= CLEAR_DB:
        return True
    return level >= LEAKAGE_DB and float(np.mean(speech > SPEECH_PROBABILITY)) >= SPEECH_SHARE


def _hysteresis(values: Frames, enter: float, stay: float) -> npt.NDArray[np.bool_]:
    """Frames that belong to a run above `stay` which reaches `enter` somewhere."""
    active = values > stay
    edges = np.flatnonzero(np.diff(np.concatenate(([False], active, [False])).astype(np.int8)))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if values[start:end].max() <= enter:
            active[start:end] = False
    return active


def _spans(active: npt.NDArray[np.bool_], duration_sec: float) -> tuple[TimeSpan, ...]:
    """Runs of active frames with short gaps bridged, short runs dropped and a margin added."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], active, [False])).astype(np.int8))) * HOP_SEC
    runs = _bridged(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True), MAX_GAP_SEC)
    wide = [(max(0.0, start - MARGIN_SEC), min(duration_sec, end + MARGIN_SEC)) for start, end in runs if end - start >= MIN_SPAN_SEC]
    return tuple(TimeSpan(start=round(start, 3), end=round(end, 3)) for start, end in _bridged(wide, 0.0) if end > start)


def _bridged(runs: Iterable[tuple[float, float]], max_gap: float) -> Iterator[tuple[float, float]]:
    """The runs, joined where the gap between them is at most `max_gap`."""
    open_run: tuple[float, float] | None = None
    for start, end in runs:
        if open_run is not None and start - open_run[1] <= max_gap:
            open_run = (open_run[0], max(open_run[1], end))
        else:
            if open_run is not None:
                yield open_run
            open_run = (start, end)
    if open_run is not None:
        yield open_run
