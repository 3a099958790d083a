"""The song analysis: from an audio file to a validated Song Map and the separated stems.

    ingest ─┬─► separation ──┬─► asr ─► align (mix, vocals) ─┐
            │                ├─► melody     (vocals)        │
            │                └─► bass       (bass)          ├─► structure ─► package (validate) ─► Song Map
            ├─► chords (mix) ─┬────────────────────────────►│
            └─────────────────┴─► beats_key (mix, chords)  ─┘

A step starts as soon as its own inputs are there; nothing else orders the run. `optional` marks an input that a step can do without.
Required are ingest, beats and package; any other step may fail, and the map is then partial and says why. `align` runs where lyrics were
given.
"""

# No postponed annotations here: Prefect resolves the parameters' types from a copy of the function that does not know this module's names.
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol

from flows.run.endings import flow_run_name, refuse_if_strict, run_state
from flows.run.hooks import LIFE, confine, say_last
from flows.run.patience import patient_flow
from flows.run.persons_words import PersonsWords
from schemas.corrections import GridCorrections
from schemas.options import AnalysisOptions, Reading
from schemas.plan import AnalysisPlan
from schemas.song_map import SongMap
from schemas.steps import StepName
from tasks.asr import align_lyrics, transcribe_lyrics
from tasks.beats_key import track_beats_and_key
from tasks.chords import recognize_chords
from tasks.common.orchestration.step_task import StepTask, optional
from tasks.common.orchestration.task_runners import ChosenTaskRunner
from tasks.common.planning import make_plan
from tasks.common.storage.artifacts import sweep_scratch
from tasks.ingest import ingest_song
from tasks.ingest.checks import refuse_changed
from tasks.ingest.head_start import identity_of
from tasks.melody_bass import track_bass, track_melody
from tasks.packager import package_song
from tasks.separation import separate_stems
from tasks.structure import detect_structure

#: The steps that find something out, by name.
STEP_TASKS: Final[Mapping[StepName, StepTask]] = MappingProxyType(
    {
        "ingest": ingest_song,
        "separation": separate_stems,
        "chords": recognize_chords,
        "beats_key": track_beats_and_key,
        "asr": transcribe_lyrics,
        "align": align_lyrics,
        "melody": track_melody,
        "bass": track_bass,
        "structure": detect_structure,
    }
)


class Submits(Protocol):
    """A step that can be started: a task, or what stands for one in an evaluation or a benchmark."""

    def submit(self, *inputs: Any) -> Any:
        """Returns what the steps that read its result are given in its place."""


@patient_flow(name="analyze-song", flow_run_name=flow_run_name, task_runner=ChosenTaskRunner(), **LIFE)
def analyze_song(
    song: Path,
    options: AnalysisOptions = AnalysisOptions(),  # noqa: B008 (frozen)
    output_dir: Path | None = None,
    expected_sha256: str | None = None,
    corrections: dict[str, Any] | None = None,
) -> SongMap:
    """Audio file in, validated Song Map and stems out.

    Args:
        song: Path of the audio file.
        options: How the song is analysed.
        output_dir: Where the song's folder is made. Empty: the data directory.
        expected_sha256: If given, a file with another SHA-256 is refused.
        corrections: What persons put right, as `corrections.json` has it, beside what is kept for the song.

    Raises a PerformiaError where a required step fails, or any step with `options.strict`.
    """
    confine(song, output_dir)
    identity = identity_of(song)
    refuse_changed(song, identity, expected_sha256)
    sweep_scratch()
    plan = make_plan(options)
    refuse_if_strict(plan, options)
    persons = PersonsWords(song, output_dir, corrections)

    def lyrics() -> str | None:
        return options.given_lyrics or persons.lyrics

    found = start_steps(STEP_TASKS, plan, song, identity, options.reading, persons.of_grid, lyrics)
    song_map = package_song.join(found, song=song, output_dir=output_dir, options=options, log=persons.log)
    say_last()
    ended: SongMap = run_state(song_map, options)
    return ended


def start_steps(
    steps: Mapping[StepName, Submits],
    plan: AnalysisPlan,
    song: Path,
    identity: str,
    reading: Reading = Reading(),  # noqa: B008 (frozen)
    grid_corrections: Callable[[Any], GridCorrections | None] = lambda _: None,
    lyrics: Callable[[], str | None] = lambda: None,
) -> dict[StepName, Any]:
    """Start every step with what it reads: the graph above. Returns what each `submit` returned, by step.

    plan: the engines of each step. identity: the SHA-256 of the song's file. reading: how that is read. grid_corrections: what persons put
    right of the beats and keys, from what ingest's `submit` returned: it may wait for the song's id. lyrics: the words that somebody gave,
    asked for after it; without them, no step places them.
    """
    ingest = steps["ingest"].submit(song, identity, reading.track, reading.accept_damaged)
    separation = steps["separation"].submit(plan.separation, ingest)
    chords = steps["chords"].submit(plan.chords, ingest)
    beats_key = steps["beats_key"].submit(plan.beats_key, ingest, optional(chords))
    asr = steps["asr"].submit(plan.asr, ingest, optional(separation))
    melody = steps["melody"].submit(plan.melody, ingest, separation)
    bass = steps["bass"].submit(plan.bass, ingest, separation)
    grid = grid_corrections(ingest)
    given: dict[StepName, Any] = {}
    if (words := lyrics()) is not None:
        given["align"] = steps["align"].submit(plan.asr, words, ingest, asr, optional(separation))
    structure = steps["structure"].submit(plan.structure, ingest, beats_key, optional(separation), optional(chords), optional(asr), grid)
    return {
        "ingest": ingest,
        "separation": separation,
        "chords": chords,
        "beats_key": beats_key,
        "asr": asr,
        **given,
        "melody": melody,
        "bass": bass,
        "structure": structure,
    }
