"""The song analysis: from an audio file to a validated Song Map and the separated stems.

    ingest ──► separate ──┬─► transcribe_lyrics   (vocals)        ─┐
       │                  ├─► track_beats_and_key (mix, drums)     │
       │                  ├─► recognize_chords    (harmonic mix)   ├─► detect_structure ─► package (validate) ─► Song Map
       │                  ├─► track_melody        (vocals)         │
       │                  └─► track_bass          (bass)          ─┘

A step starts as soon as its own inputs are there; nothing else orders the run. `even_if_failed` marks an input that a step can do without.
Required are ingest, beats and package; any other step may fail, and the map is then partial and says why.
"""

# No postponed annotations here: Prefect resolves the parameters' types from a copy of the function that does not know this module's names.
from pathlib import Path

from flows.run.endings import flow_run_name, refuse_if_strict, run_state
from flows.run.hooks import LIFE, confine
from flows.run.patience import patient_flow
from schemas.options import AnalysisOptions
from schemas.song_map import SongMap
from tasks.asr import transcribe_lyrics
from tasks.beats_key import track_beats_and_key
from tasks.chords import recognize_chords
from tasks.common.orchestration.running import even_if_failed, join, submit, submit_here
from tasks.common.orchestration.task_runners import ChosenTaskRunner
from tasks.common.planning import make_plan
from tasks.common.storage.artifacts import sweep_scratch
from tasks.ingest import ingest_song
from tasks.ingest.checks import file_identity, refuse_changed
from tasks.melody_bass import track_bass, track_melody
from tasks.packager import package_song
from tasks.separation import separate_stems
from tasks.structure import detect_structure


@patient_flow(name="analyze-song", flow_run_name=flow_run_name, task_runner=ChosenTaskRunner(), **LIFE)
def analyze_song(
    song: Path,
    options: AnalysisOptions = AnalysisOptions(),  # noqa: B008 (frozen)
    output_dir: Path | None = None,
    expected_sha256: str | None = None,
) -> SongMap:
    """Audio file in, validated Song Map and stems out.

    Args:
        song: Path of the audio file.
        options: How the song is analysed.
        output_dir: Where the song's folder is made. Empty: the data directory.
        expected_sha256: If given, a file with another SHA-256 is refused.

    Raises a PerformiaError where a required step fails, or any step with `options.strict`.
    """
    confine(song, output_dir)
    identity = file_identity(song)
    refuse_changed(song, identity, expected_sha256)
    sweep_scratch()
    plan = make_plan(options)
    refuse_if_strict(plan, options)

    source = submit_here(ingest_song, song, identity)
    stems = submit(separate_stems, plan.separation, source)
    lyrics = submit(transcribe_lyrics, plan.asr, source, even_if_failed(stems))
    beats = submit(track_beats_and_key, plan.beats_key, source, even_if_failed(stems))
    chords = submit(recognize_chords, plan.chords, source, even_if_failed(stems), even_if_failed(beats))
    melody = submit(track_melody, plan.melody, source, stems)
    bass = submit(track_bass, plan.bass, source, stems)
    structure = submit(
        detect_structure, plan.structure, source, beats, even_if_failed(stems), even_if_failed(chords), even_if_failed(lyrics)
    )

    outcomes = {
        "source": source,
        "stems": stems,
        "lyrics": lyrics,
        "beats": beats,
        "chords": chords,
        "melody": melody,
        "bass": bass,
        "structure": structure,
    }
    song_map = join(package_song, outcomes, song=song, output_dir=output_dir, options=options)
    ended: SongMap = run_state(song_map, options)
    return ended
