"""The steps of the analysis that a scoreboard asks for, and those whose results they read: the same tasks, from the same cache.

Unlike `analyze_song`, nothing is packaged, and steps that nobody asks for do not run.
"""

# No postponed annotations here: Prefect resolves the parameters' types from a copy of the function that does not know this module's names.
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture

from flows.run.endings import flow_run_name
from flows.run.hooks import LIFE
from schemas.options import AnalysisOptions
from schemas.results import StepName
from tasks.asr import transcribe_lyrics
from tasks.beats_key import track_beats_and_key
from tasks.chords import recognize_chords
from tasks.common.orchestration.running import even_if_failed, submit, submit_here
from tasks.common.orchestration.task_runners import ChosenTaskRunner
from tasks.common.planning import make_plan
from tasks.ingest import ingest_song
from tasks.ingest.checks import file_identity
from tasks.melody_bass import track_bass, track_melody
from tasks.separation import separate_stems
from tasks.structure import detect_structure


@flow(name="hear-song", flow_run_name=flow_run_name, task_runner=ChosenTaskRunner(), **LIFE)
def hear_song(song: Path, steps: list[StepName], options: AnalysisOptions = AnalysisOptions()) -> dict[str, Any]:  # noqa: B008 (frozen)
    """Run some steps on a song. Returns, for each of them and for ingest and separation, its result or the error it ended with."""
    plan = make_plan(options)
    wanted = set(steps)
    source = submit_here(ingest_song, song, file_identity(song))
    found: dict[str, Any] = {"ingest": source}
    stems = found["separation"] = submit(separate_stems, plan.separation, source)
    lyrics = beats = chords = None
    if wanted & {"asr", "structure"}:
        lyrics = found["asr"] = submit(transcribe_lyrics, plan.asr, source, even_if_failed(stems))
    if wanted & {"beats_key", "chords", "structure"}:
        beats = found["beats_key"] = submit(track_beats_and_key, plan.beats_key, source, even_if_failed(stems))
    if wanted & {"chords", "structure"}:
        chords = found["chords"] = submit(recognize_chords, plan.chords, source, even_if_failed(stems), even_if_failed(beats))
    if "melody" in wanted:
        found["melody"] = submit(track_melody, plan.melody, source, stems)
    if "bass" in wanted:
        found["bass"] = submit(track_bass, plan.bass, source, stems)
    if "structure" in wanted:
        found["structure"] = submit(
            detect_structure, plan.structure, source, beats, even_if_failed(stems), even_if_failed(chords), even_if_failed(lyrics)
        )
    return {name: _outcome(future) for name, future in found.items() if name in wanted | {"ingest", "separation"}}


def _outcome(ended: PrefectFuture[Any] | State[Any]) -> Any:
    """The result of a step, or the error it ended with."""
    return ended.result(raise_on_failure=False)
