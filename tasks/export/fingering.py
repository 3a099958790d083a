"""Where the fingers go for a chord, on a guitar or a ukulele: sought, not looked up, so that every chord has one. Pure.

A fingering sounds notes of the chord alone; all of them, but for the fifth of a chord of four or more; on a guitar the lowest is the bass.
Of those that four fingers can play, the one is taken that is easiest by the costs below, which were chosen so that the shapes that
beginners learn come out.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from itertools import product
from typing import Final

#: The open strings as MIDI notes, from the player's thumb on.
GUITAR: Final = (40, 45, 50, 55, 59, 64)
UKULELE: Final = (67, 60, 64, 69)

#: Fret of each string; None for one that is not played.
Fingering = tuple[int | None, ...]

_FINGERS: Final = 4
_SPAN: Final = 3
_HIGHEST_FRET: Final = 12


@functools.lru_cache(maxsize=512)
def fingering(notes: tuple[int, ...], bass: int, tuning: tuple[int, ...]) -> Fingering | None:
    """The easiest fingering of a chord; None where there is none.

    notes: pitch classes, the root first. bass: pitch class of the lowest note; it counts where the lowest string is the first one.
    """
    fifth = (notes[0] + 7) % 12
    wanted = {*notes, bass}
    needed = wanted - {fifth} if len(notes) > 3 and bass != fifth else wanted
    from_bass = tuning[0] == min(tuning)
    best: tuple[float, Fingering] | None = None
    for frets in _candidates(wanted, tuning, from_bass):
        sounding = [(note + fret) for note, fret in zip(tuning, frets, strict=True) if fret is not None]
        if not needed <= {note % 12 for note in sounding} or (from_bass and sounding[0] % 12 != bass):
            continue
        cost = _cost(frets)
        if cost is not None and (best is None or cost < best[0]):
            best = (cost, frets)
    return best[1] if best else None


def _candidates(wanted: set[int], tuning: tuple[int, ...], may_mute: bool) -> Iterator[Fingering]:
    """What a hand at each position can reach; strings are left out at the low side, and the highest one."""
    for position in range(1, _HIGHEST_FRET - _SPAN + 1):
        reach = (0, *range(position, position + _SPAN + 1))
        choices = [[fret for fret in reach if (note + fret) % 12 in wanted] for note in tuning]
        for muted in range(len(tuning) - 3 if may_mute else 1):
            for end in (len(tuning), len(tuning) - 1) if may_mute else (len(tuning),):
                if all(choices[muted:end]):
                    for frets in product(*choices[muted:end]):
                        yield (None,) * muted + frets + (None,) * (len(tuning) - end)


def _cost(frets: Fingering) -> float | None:
    """How hard a fingering is; None where four fingers cannot play it."""
    pressed = [fret for fret in frets if fret]
    if not pressed:
        return 0.0
    lowest = min(pressed)
    fingers = len(pressed)
    first = next(nth for nth, fret in enumerate(frets) if fret == lowest)
    barre = pressed.count(lowest) > 1 and all(fret is None or fret >= lowest for fret in frets[first:])
    if barre:
        fingers -= pressed.count(lowest) - 1
    if fingers > _FINGERS:
        return None
    muted = sum(fret is None for fret in frets) + 2 * (frets[-1] is None)
    highest = max(pressed)
    return highest * 0.8 + (highest - lowest) * 0.4 + fingers * 1.0 + muted * 1.1 + (1.2 if barre and fingers > 1 else 0.0)
