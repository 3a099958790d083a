"""Progress reaches its listeners, and never goes backwards."""

from tasks.common.progress import StepEvent, listening, part_of, publish, reporter, silent


def test_fractions_are_clipped_and_never_go_backwards() -> None:
    seen: list[float | None] = []
    with listening(lambda event: seen.append(event.fraction)):
        report = reporter("run", "chords")
        for fraction in (0.2, 0.1, 0.5, 7.0):
            report(fraction)
    assert seen == [0.2, 0.2, 0.5, 1.0]


def test_a_part_maps_to_its_share() -> None:
    seen: list[float] = []
    part = part_of(lambda fraction, message="": seen.append(fraction), 0.5, 0.75)
    part(0.0)
    part(1.0)
    part(2.0)
    assert seen == [0.5, 0.75, 0.75]


def test_a_broken_listener_disturbs_nobody() -> None:
    def broken(event: StepEvent) -> None:
        raise RuntimeError

    seen: list[StepEvent] = []
    with listening(broken), listening(seen.append):
        publish(StepEvent("run", "asr", "started"))
    publish(StepEvent("run", "asr", "finished"))
    assert [event.kind for event in seen] == ["started"]


def test_silence_takes_anything() -> None:
    assert silent(0.5, "x") is None
