"""From frame-wise pitch to notes: a hidden semi-Markov model of silence and notes, decoded with Viterbi.

After Mauch et al. 2015 ("Computer-aided melody note transcription using the Tony software") and Ryynänen & Klapuri 2008: a note has an
attack, in which the pitch may still glide, and a sustained part, in which it stays near the note's own pitch; notes follow each other
with or without silence between. Pitches lie on a grid finer than a semitone, so that a singer who is out of tune is followed before the
result is rounded.

Costs are negative log-likelihood ratios against silence: a note pays for its beginning, less where the stem shows an attack; for each frame
in which the tracker does not believe in a pitch (and gains where it does); and for each frame that lies off its pitch. The last is capped,
so that an octave glitch or a consonant within a note costs less than leaving it.

Time and memory are linear in the number of frames. Pure functions on arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.melody_bass.pitch import FloatArray, PitchTrack

IntArray = npt.NDArray[np.int32]

#: Grid steps per semitone (Tony has three).
_STEPS: Final = 3
_SILENCE: Final = -1
_STAY: Final = -2


@dataclass(frozen=True)
class NoteModel:
    """The costs of the model, in nats unless said otherwise; frames are 16 ms.

    The values come from a coarse search on eight songs (README.md); the result is flat around them.
    """

    min_midi: float
    max_midi: float
    #: A note from silence, and a note that follows another directly.
    start_cost: float = 5.5
    change_cost: float = 6.0
    #: A note at (nearly) the pitch of the one before: repeats need an attack to be believed.
    repeat_cost: float = 5.5
    #: What a clear attack (onset strength 1) takes off any of these.
    onset_gain: float = 11.0
    #: Spread of a part's notes around its middle, in semitones: far from it, a new note costs more.
    register_spread: float = 12.0
    #: Cost of a frame an octave off the note's pitch, relative to the capped cost: below 1 where the tracker is more likely to err by an
    #: octave than the part is to leap by one.
    octave_share: float = 1.0
    #: Leaps of more than an octave, per semitone.
    leap_cost: float = 0.2
    #: Cost per semitone off the note's pitch and frame, times the confidence; and its cap in semitones.
    off_cost: float = 0.8
    off_cap: float = 1.5
    #: Share of that in the attack.
    attack_share: float = 0.25
    #: Length of the attack in frames; the shortest note is one frame longer (96 ms).
    attack_frames: int = 5
    #: Weight of the voicing log-likelihood ratio, and where confidences are clipped.
    voicing_weight: float = 2.0
    clip: float = 0.01

    def grid(self) -> FloatArray:
        return np.arange(self.min_midi - 0.5, self.max_midi + 0.5 + 1e-9, 1.0 / _STEPS)


@dataclass(frozen=True)
class Segment:
    """A decoded note: frames [start, end) and the grid pitch it was decoded at."""

    start: int
    end: int
    pitch: float


def decode_notes(track: PitchTrack, onset: FloatArray, model: NoteModel) -> list[Segment]:
    """The most likely notes of a pitch track.

    onset: (frames,) onset strength in [0, 1]. Returns segments in order, which do not overlap and last longer than `attack_frames`.
    """
    if len(onset) != len(track):
        raise ValueError(f"onset has {len(onset)} frames, the pitch track {len(track)}")
    if not len(track):
        return []
    grid = model.grid()
    origin, arrivals, silence_from, final = _forward(track, onset, model, grid)
    return _backtrack(origin, arrivals, silence_from, final, grid, model.attack_frames)


def _interval_costs(grid: FloatArray, model: NoteModel) -> FloatArray:
    """(from, to) cost of a note that follows another without silence."""
    interval = np.abs(grid[:, None] - grid[None, :])
    cost = model.change_cost + model.leap_cost * np.maximum(interval - 12.0, 0.0)
    # Half a semitone away is drift or vibrato, unless an attack says otherwise.
    near = np.clip((interval - 0.5) / 0.5, 0.0, 1.0)
    mixed: FloatArray = model.repeat_cost + near * (cost - model.repeat_cost)
    return mixed


def _register_costs(track: PitchTrack, grid: FloatArray, model: NoteModel) -> FloatArray:
    """(pitches,) cost of a new note for its distance from the middle (median) of the part."""
    voiced = track.midi[track.voiced]
    if not len(voiced):
        return np.zeros(len(grid))
    costs: FloatArray = 0.5 * ((grid - np.median(voiced)) / model.register_spread) ** 2
    return costs


def _forward(
    track: PitchTrack, onset: FloatArray, model: NoteModel, grid: FloatArray
) -> tuple[IntArray, npt.NDArray[np.bool_], IntArray, int]:
    """Viterbi's forward pass.

    Returns origin (frames, pitches): the state before a note that begins at a frame (a grid index or _SILENCE);
    arrivals (frames, pitches): whether the sustained state was entered from the attack rather than kept;
    silence_from (frames,): the pitch whose note ended just before a silent frame, or _STAY; and the last state.
    """
    frames, pitches, length = len(track), len(grid), model.attack_frames
    known = np.isfinite(track.midi)
    confidence = np.where(known, track.confidence, 0.0)
    clipped = np.clip(confidence, model.clip, 1.0 - model.clip)
    voicing = -model.voicing_weight * np.log(clipped / (1.0 - clipped))
    midi = np.where(known, track.midi, 0.0)
    between = _interval_costs(grid, model)
    register = _register_costs(track, grid, model)

    attack = np.full((length, pitches), np.inf)
    sustain = np.full(pitches, np.inf)
    silence = 0.0
    origin = np.full((frames, pitches), _SILENCE, np.int32)
    arrivals = np.zeros((frames, pitches), np.bool_)
    silence_from = np.full(frames, _STAY, np.int32)
    columns = np.arange(pitches)
    for t in range(frames):
        off = np.abs(grid - midi[t])
        off = np.minimum(np.minimum(off, np.abs(off - 12.0) + model.octave_share * model.off_cap), model.off_cap)
        off *= model.off_cost * confidence[t]
        gain = model.onset_gain * onset[t]
        follow = sustain[:, None] + between
        best = np.argmin(follow, axis=0)
        new = follow[best, columns]
        from_silence = silence + model.start_cost
        origin[t] = np.where(from_silence <= new, _SILENCE, best)
        new = np.minimum(new, from_silence) + (register - gain)
        ended = int(np.argmin(sustain))
        if sustain[ended] < silence:
            silence, silence_from[t] = float(sustain[ended]), ended
        arrivals[t] = attack[-1] < sustain
        sustain = np.minimum(attack[-1], sustain) + (off + voicing[t])
        attack[1:] = attack[:-1]
        attack[0] = new
        attack += model.attack_share * off + voicing[t]
    final = int(np.argmin(sustain))
    return origin, arrivals, silence_from, final if sustain[final] < silence else _SILENCE


def _backtrack(
    origin: IntArray, arrivals: npt.NDArray[np.bool_], silence_from: IntArray, final: int, grid: FloatArray, length: int
) -> list[Segment]:
    segments: list[Segment] = []
    state, t = final, len(origin)  # `state` holds just before frame t
    while t > 0:
        if state == _SILENCE:
            t -= 1
            if silence_from[t] != _STAY:
                state = int(silence_from[t])
            continue
        entered = t - 1
        while not arrivals[entered, state]:
            entered -= 1
        start = entered - length
        segments.append(Segment(start, t, float(grid[state])))
        state, t = int(origin[start, state]), start
    segments.reverse()
    return segments
