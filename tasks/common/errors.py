"""Every error a person can meet, each with a stable code, what it means (its docstring), and what to do (`todo`).

The text of an error is the same in the CLI, in a Prefect run and in the Song Map. Codes never change meaning; new ones are added.
`transient` marks what may pass on a second try (memory, disk, network): only that is retried.

The table in tasks/common/README.md is made of these classes (`make docs`).
"""

from __future__ import annotations

from typing import ClassVar


class PerformiaError(Exception):
    """Base of all named errors. `str(error)` is `CODE: what happened. What to do.`"""

    code: ClassVar[str] = "PERFORMIA_ERROR"
    todo: ClassVar[str] = "Run again with --debug and report the output."
    transient: ClassVar[bool] = False

    def __init__(self, what: str, todo: str | None = None):
        super().__init__(what, todo)
        self.what = what.rstrip(".")
        self.what_to_do = (todo or type(self).todo).rstrip(".")

    def __str__(self) -> str:
        return f"{self.code}: {self.what}. {self.what_to_do}."


# --- input -----------------------------------------------------------------------------------------------------------------------------


class AudioError(PerformiaError):
    """The file cannot be analysed, now or on a second try."""

    code = "AUDIO_ERROR"


class AudioNotFound(AudioError):
    """There is no file at the path."""

    code = "AUDIO_NOT_FOUND"
    todo = "Check the path"


class AudioIsDirectory(AudioError):
    """The path is that of a folder."""

    code = "AUDIO_IS_DIRECTORY"
    todo = "Give the path of a file in it"


class AudioEmpty(AudioError):
    """The file has no bytes."""

    code = "AUDIO_EMPTY"
    todo = "The file has no content; copy or download it again"


class AudioUnreadable(AudioError):
    """The file is there and cannot be read: rights, or the disk."""

    code = "AUDIO_UNREADABLE"
    todo = "Check that you may read the file"


class AudioNotAudio(AudioError):
    """The file is of no format that FFmpeg knows as audio or video."""

    code = "AUDIO_NOT_AUDIO"
    todo = "Give a file with sound: wav, flac, mp3, ogg, opus, m4a, aiff, mp4, webm or mkv"


class AudioNoTrack(AudioError):
    """The file is a video or a picture without sound."""

    code = "AUDIO_NO_TRACK"
    todo = "Give a file that has an audio track"


class AudioTrackMissing(AudioError):
    """The file has no audio track of the number that was asked for, or it cannot be decoded."""

    code = "AUDIO_TRACK_MISSING"
    todo = "Give the number of one of its audio tracks, from 1, or leave it out"


class AudioTruncated(AudioError):
    """The file ends inside a frame or before what its own index says, or too much of it cannot be decoded."""

    code = "AUDIO_TRUNCATED"
    todo = "Copy or download it again, or analyse what there is of it with --accept-damaged"


class AudioTooShort(AudioError):
    """The song is shorter than PERFORMIA_MIN_DURATION_SEC."""

    code = "AUDIO_TOO_SHORT"
    todo = "Give a longer file, or lower PERFORMIA_MIN_DURATION_SEC"


class AudioTooLong(AudioError):
    """The song is longer than PERFORMIA_MAX_DURATION_SEC."""

    code = "AUDIO_TOO_LONG"
    todo = "Cut the file, or raise PERFORMIA_MAX_DURATION_SEC"


class AudioSilent(AudioError):
    """The song is silent from beginning to end."""

    code = "AUDIO_SILENT"
    todo = "Check the recording: no sample is above -80 dBFS"


class AudioInvalidSamples(AudioError):
    """Some samples are not numbers."""

    code = "AUDIO_INVALID_SAMPLES"
    todo = "The file holds NaN or infinite samples; export it again"


class AudioChanged(AudioError):
    """The file is no longer the one that the run was started for."""

    code = "AUDIO_CHANGED"
    todo = "The file was replaced or written to while it was analysed; run again when it stays as it is"


class AudioPathRefused(AudioError):
    """The path is no plain path to a file, or lies outside PERFORMIA_INPUT_ROOTS."""

    code = "AUDIO_PATH_REFUSED"
    todo = "Give a plain path to a file, inside the allowed folders where they are set"


# --- folders of songs ------------------------------------------------------------------------------------------------------------------


class FolderError(PerformiaError):
    """A folder of songs cannot be analysed."""

    code = "FOLDER_ERROR"


class FolderNotFound(FolderError):
    """There is no folder at the path."""

    code = "FOLDER_NOT_FOUND"
    todo = "Check the path"


class FolderIsFile(FolderError):
    """The path is that of a file."""

    code = "FOLDER_IS_FILE"
    todo = "Give the folder it lies in, or analyse the file with `performia analyze`"


class FolderUnreadable(FolderError):
    """The folder is there and cannot be listed."""

    code = "FOLDER_UNREADABLE"
    todo = "Check that you may read the folder"


class FolderUnusable(FolderError):
    """The folder cannot be made or written to, or is given two roles."""

    code = "FOLDER_UNUSABLE"
    todo = "Name a folder that is there, or that can be made"


class FolderHasNoSongs(FolderError):
    """No file in the folder has the ending of an audio file, or matches the patterns."""

    code = "FOLDER_HAS_NO_SONGS"
    todo = "Put wav, flac, mp3, ogg, opus, m4a, aiff, mp4, webm or mkv files there, or check --pattern"


# --- models and engines ----------------------------------------------------------------------------------------------------------------


class ModelError(PerformiaError):
    """Something is wrong with a model."""

    code = "MODEL_ERROR"


class ModelUnknown(ModelError):
    """No model has this name."""

    code = "MODEL_UNKNOWN"
    todo = "`performia models list` shows the names"


class ModelUnavailable(ModelError):
    """The weights are not on this machine, and cannot be downloaded."""

    code = "MODEL_UNAVAILABLE"
    todo = "Run `performia models fetch` with a network connection, or put the file into PERFORMIA_MODELS_DIR"


class ModelCorrupt(ModelError):
    """A model's file is not the one whose digest the registry pins, or holds more than weights."""

    code = "MODEL_CORRUPT"
    todo = "Delete the file and run `performia models fetch`"


class ModelDownloadFailed(ModelError):
    """A download broke off, or arrived damaged."""

    code = "MODEL_DOWNLOAD_FAILED"
    todo = "Check the connection and try again; a partial download is resumed"
    transient = True


class EngineUnknown(PerformiaError):
    """The step has no engine, or the engine no model, of this name."""

    code = "ENGINE_UNKNOWN"
    todo = "flows/README.md names the engines of each step"


class EngineFailed(PerformiaError):
    """Every engine of the step failed; the text lists each with its reason."""

    code = "ENGINE_FAILED"


class OutOfMemory(PerformiaError):
    """The memory was too small for every engine of the step, also in its smallest form."""

    code = "OUT_OF_MEMORY"
    todo = "Close other programs, use --quality fast, or give a shorter file"
    transient = True


class SlotNotAskedFor(PerformiaError):
    """An engine can use a GPU, and its step does not ask for the slot of one: a mistake in the program."""

    code = "SLOT_NOT_ASKED_FOR"
    todo = "Add the resource's tag to the step's task"


class LanguageUnsupported(PerformiaError):
    """The speech model at hand does not know the language that was asked for."""

    code = "LANGUAGE_UNSUPPORTED"
    todo = "Fetch a multilingual model (`performia models fetch`), or leave --language out"


class LyricsUnreadable(PerformiaError):
    """The file with the lyrics that were given is missing, empty, too long, or no text."""

    code = "LYRICS_UNREADABLE"
    todo = "Give a text or LRC file with the words of the song"


# --- results ---------------------------------------------------------------------------------------------------------------------------


class StorageError(PerformiaError):
    """Something could not be written to a store or a song's folder, or read back."""

    code = "STORAGE_ERROR"
    todo = "Check the disk and the artifact store's permissions, then run again: finished steps are kept"
    transient = True


class ArtifactMissing(StorageError):
    """Audio that a result refers to is no longer in the artifact store."""

    code = "ARTIFACT_MISSING"
    todo = "Run again: the step that made it is computed anew"


class SongMapInvalid(PerformiaError):
    """The Song Map breaks its schema or its semantics; the text lists every problem with its JSON path."""

    code = "SONG_MAP_INVALID"
    todo = "The partial results and the report are kept beside it; please report this with the file"

    def __init__(self, what: str, problems: tuple[str, ...] = (), todo: str | None = None):
        super().__init__(what, todo)
        self.problems = problems
        self.args = (what, problems, todo)


class SongMapNotFound(PerformiaError):
    """There is no Song Map at the path."""

    code = "SONG_MAP_NOT_FOUND"
    todo = "Give a song's folder, or the song_map.json in it; `performia analyze` makes one"


class CorrectionsInvalid(PerformiaError):
    """A file of corrections is not understood; nothing of it is applied, and it stays as it is."""

    code = "CORRECTIONS_INVALID"
    todo = "Give a corrections.json, labels of Audacity or an LRC file; `performia correct SONG export FILE` writes one"


class CorrectionUnplaceable(PerformiaError):
    """What was to be put right is not in the Song Map, or not clearly."""

    code = "CORRECTION_UNPLACEABLE"
    todo = "See what the map has: `performia correct SONG export - --of words`"


class ExportFormatUnknown(PerformiaError):
    """No export has this name."""

    code = "EXPORT_FORMAT_UNKNOWN"
    todo = "tasks/export/README.md lists the formats"


class ExportNeedsSound(PerformiaError):
    """The export is made of the song's sound, and its stems are not at hand."""

    code = "EXPORT_NEEDS_SOUND"
    todo = "Analyse the song again with stems, and give its folder"


class ExportNothingToWrite(PerformiaError):
    """The Song Map has nothing of what the export is made of, such as beats for a click track."""

    code = "EXPORT_NOTHING_TO_WRITE"
    todo = "Choose another format; `steps` of the Song Map says how each part was found"


class ExportInTheWay(PerformiaError):
    """A file that the export would replace is not as an export of this song left it."""

    code = "EXPORT_IN_THE_WAY"
    todo = "Move it, choose another folder with -o, or replace it with --force"


class RequiredStepFailed(PerformiaError):
    """A step that no Song Map can do without (ingest, beats) failed."""

    code = "REQUIRED_STEP_FAILED"
    todo = "See the reason above; finished steps are kept and are not computed again"


class StrictRunFailed(PerformiaError):
    """The run was strict, and a step failed or took a lesser engine."""

    code = "STRICT_RUN_FAILED"
    todo = "Fetch the missing models or run without --strict"


class StepTimedOut(PerformiaError):
    """A step worked for longer than it may."""

    code = "STEP_TIMED_OUT"
    todo = "Run it again on a machine with less to do; if it hangs again, choose another engine for the step"


class TaskRunnerUnavailable(PerformiaError):
    """The task runner's package is missing, or no Dask or Ray cluster answers."""

    code = "TASK_RUNNER_UNAVAILABLE"
    todo = "Check PERFORMIA_TASK_RUNNER and PERFORMIA_TASK_RUNNER_ADDRESS"


class ApiUnreachable(PerformiaError):
    """The Prefect server does not answer.

    To a client of the HTTP API: the Performia service does not.
    """

    code = "API_UNREACHABLE"
    todo = "Start it (`performia serve` does), or check PREFECT_API_URL; `performia doctor` looks at it"
    transient = True


class ApiNotStarted(PerformiaError):
    """The Prefect server that a command or `performia serve` starts for itself does not start.

    Its log's last words stand in the text.
    """

    code = "API_NOT_STARTED"
    todo = "Check that PREFECT_HOME and PERFORMIA_DATA_DIR can be written, or set PREFECT_API_URL to a server that runs"


class DeploymentMissing(PerformiaError):
    """The Prefect server does not know the deployment that a run was to be started of."""

    code = "DEPLOYMENT_MISSING"
    todo = "Start `performia serve`, or run `prefect deploy --all` and a worker"


class OutputPathRefused(PerformiaError):
    """A served run was to write outside its output folder and PERFORMIA_OUTPUT_ROOTS."""

    code = "OUTPUT_PATH_REFUSED"
    todo = "Leave the folder empty, or name it in PERFORMIA_OUTPUT_ROOTS where Performia is served"


class AllSongsFailed(PerformiaError):
    """No song of the folder could be analysed."""

    code = "ALL_SONGS_FAILED"
    todo = "The manifest says what to do about each"


class AlreadyServing(PerformiaError):
    """A service runs already with this data directory."""

    code = "ALREADY_SERVING"
    todo = "Stop that one first, or set another PERFORMIA_DATA_DIR"


class PortTaken(PerformiaError):
    """Another program listens on the port."""

    code = "PORT_TAKEN"
    todo = "Choose another with --port, or set PREFECT_API_URL to use the Prefect server that runs there"


class OptionInvalid(PerformiaError):
    """An option has a value that it cannot have, or needs a package that is not installed."""

    code = "OPTION_INVALID"
    todo = "`performia analyze --help` shows what is allowed"


class SettingInvalid(PerformiaError):
    """A setting has a value that it cannot have."""

    code = "SETTING_INVALID"
    todo = "tasks/common/README.md says what each setting may be"


class EvaluationDataNotFound(PerformiaError):
    """The folder of annotated songs is not named, or holds none of the data sets."""

    code = "EVALUATION_DATA_NOT_FOUND"
    todo = "Name the folder with the data sets with --data or PERFORMIA_EVALUATION_DATA; tasks/evaluation/README.md says what it holds"


class EvaluationDataUnusable(PerformiaError):
    """A data set is there and cannot be prepared."""

    code = "EVALUATION_DATA_UNUSABLE"
    todo = "To render POP909: apt install fluidsynth fluid-soundfont-gm; its songs are left out without"


# --- the HTTP API ----------------------------------------------------------------------------------------------------------------------


class RequestInvalid(PerformiaError):
    """A request to the HTTP API is not understood; `errors` of the problem says where."""

    code = "REQUEST_INVALID"
    todo = "`/docs` of the service describes every call"


class NothingThere(PerformiaError):
    """The HTTP API has nothing at the address."""

    code = "NOTHING_THERE"
    todo = "`/docs` of the service lists every call"


class MethodRefused(PerformiaError):
    """The HTTP API does not take this method at the address."""

    code = "METHOD_REFUSED"
    todo = "The header `Allow` names those that it takes"


class JobUnknown(PerformiaError):
    """There is no job of this id, or it was deleted."""

    code = "JOB_UNKNOWN"
    todo = "`GET /v1/jobs` lists the jobs"


class JobUnderWay(PerformiaError):
    """What was asked for needs a job that has ended."""

    code = "JOB_UNDER_WAY"
    todo = "Wait for its end, or cancel it first"


class JobEnded(PerformiaError):
    """What was asked for needs a job that has not ended, or one that failed."""

    code = "JOB_ENDED"
    todo = "Its state says how it ended; send the song with other options for another job"


class JobCancelled(PerformiaError):
    """The job was cancelled at the service before it had a Song Map."""

    code = "JOB_CANCELLED"
    todo = "Send the song again: finished steps are kept"


class SongUnknown(PerformiaError):
    """There is no song of this id in the output folder."""

    code = "SONG_UNKNOWN"
    todo = "`GET /v1/songs` lists the songs"


class SongChanged(PerformiaError):
    """Somebody else changed the song since the request's sender read it."""

    code = "SONG_CHANGED"
    todo = "Read the song again, and send what is still to be put right with its new ETag"


class IfMatchMissing(PerformiaError):
    """A change of a song must say which state of it is changed."""

    code = "IF_MATCH_MISSING"
    todo = "Send the song's ETag as `If-Match`"


class SongFileMissing(PerformiaError):
    """The song has no file of this kind, or it has gone."""

    code = "SONG_FILE_MISSING"
    todo = "Analyse the song again, with stems"


class SongFileDamaged(PerformiaError):
    """A file of a song arrived twice from a service with other sound than the Song Map says."""

    code = "SONG_FILE_DAMAGED"
    todo = "Check the disk of the service, and analyse the song there again"


class LibraryFilling(PerformiaError):
    """The library's index is being made, and does not know all songs yet."""

    code = "LIBRARY_FILLING"
    todo = "Ask again in a moment"
    transient = True


class RangeUnsatisfiable(PerformiaError):
    """A request asks for parts of a file of which it has none."""

    code = "RANGE_UNSATISFIABLE"
    todo = "`Content-Range` of the answer says how long the file is"


class UploadTooLarge(PerformiaError):
    """An upload is larger than PERFORMIA_API_MAX_UPLOAD_GIB."""

    code = "UPLOAD_TOO_LARGE"
    todo = "Send the sound in a smaller format, or raise PERFORMIA_API_MAX_UPLOAD_GIB"


class UploadBrokenOff(PerformiaError):
    """An upload ended before it was whole, or less than 4 KiB of it arrive a second."""

    code = "UPLOAD_BROKEN_OFF"
    todo = "Send it again"
    transient = True


class UploadUnknown(PerformiaError):
    """There is no resumable upload of this id of the key's, or it has gone: a day after its last byte."""

    code = "UPLOAD_UNKNOWN"
    todo = "Begin a new one with `POST /v1/uploads`"


class UploadConflict(PerformiaError):
    """A resumable upload stands elsewhere than the request takes it to."""

    code = "UPLOAD_CONFLICT"
    todo = "`HEAD` of the upload says how much of it has arrived: go on there"


class UploadBusy(PerformiaError):
    """Another request writes to the resumable upload, or takes it."""

    code = "UPLOAD_BUSY"
    todo = "Ask again in a moment"
    transient = True


class TusVersionUnsupported(PerformiaError):
    """A request for a resumable upload speaks another version of tus than 1.0.0, or does not say which."""

    code = "TUS_VERSION_UNSUPPORTED"
    todo = "Send `Tus-Resumable: 1.0.0`"


class UploadTypeUnsupported(PerformiaError):
    """A piece of a resumable upload has a media type that tus does not give it."""

    code = "UPLOAD_TYPE_UNSUPPORTED"
    todo = "Send `Content-Type: application/offset+octet-stream`"


class IdempotencyKeyReused(PerformiaError):
    """The Idempotency-Key stands for another request of the last day."""

    code = "IDEMPOTENCY_KEY_REUSED"
    todo = "Use a new key for each request that differs"


class IdempotencyKeyBusy(PerformiaError):
    """The request with this Idempotency-Key is still arriving."""

    code = "IDEMPOTENCY_KEY_BUSY"
    todo = "Send it again when the first has been answered"
    transient = True


class CallbackRefused(PerformiaError):
    """A job was to be answered at an address that PERFORMIA_API_CALLBACK_HOSTS does not name."""

    code = "CALLBACK_REFUSED"
    todo = "Name the host in PERFORMIA_API_CALLBACK_HOSTS where the API runs, or leave `callback_url` out"


class ApiKeyMissing(PerformiaError):
    """The HTTP API wants a key, and was given none that it knows."""

    code = "API_KEY_MISSING"
    todo = "Send `Authorization: Bearer KEY`; `performia api keys add` makes one"


class ScopeMissing(PerformiaError):
    """The key may not do that."""

    code = "SCOPE_MISSING"
    todo = "Use a key with the scope that the text names"


class DoorClosed(PerformiaError):
    """The HTTP API does not answer to that name, or not to that page."""

    code = "DOOR_CLOSED"
    todo = "PERFORMIA_ALLOWED_HOSTS names the hosts and PERFORMIA_API_ORIGINS the pages that are let in"


class TooManyRequests(PerformiaError):
    """A key sends more requests, uploads or jobs than it may."""

    code = "TOO_MANY_REQUESTS"
    todo = "Wait as long as `Retry-After` says"
    transient = True


class ServiceRefused(PerformiaError):
    """A Performia service answered with something that this version of its client does not know."""

    code = "SERVICE_REFUSED"
    todo = "Check that the URL is that of a Performia service, of the version that runs here"


class ApiKeyNeeded(PerformiaError):
    """The HTTP API was to listen beyond this machine, and there is no key."""

    code = "API_KEY_NEEDED"
    todo = "Make one with `performia api keys add NAME`, or listen on 127.0.0.1"


def all_errors() -> tuple[type[PerformiaError], ...]:
    """Every error class of this module, in the order they are defined. What the tests and the benchmark add to them is their own."""

    def below(cls: type[PerformiaError]) -> list[type[PerformiaError]]:
        found = []
        for sub in cls.__subclasses__():
            found += [sub, *below(sub)]
        return found

    return tuple(error for error in below(PerformiaError) if error.__module__ == __name__)
