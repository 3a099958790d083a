"""Songs: the library, each song's map, and its files."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParameter
from pydantic import BaseModel, BeforeValidator

from deployments.api.access import Admin, LibraryHere, Reader, SettingsHere
from deployments.api.file_answers import POLICY, ServedFile, conditional, content_disposition, file_answer
from deployments.api.library.entries import SongEntry
from deployments.api.library.library import Library
from deployments.api.library.query import KEY_PATTERN, MOST_ON_PAGE, ORDERS, song_query
from deployments.api.problems import ProblemError, responses
from deployments.api.song_files import SongFiles, first_view_of
from deployments.api.song_removal import remove_song
from schemas.api.songs import SONG_ID_PATTERN, FirstView, Peaks, Song, SongLinks, SongList
from schemas.song_folder import MAP_NAME
from schemas.song_map import SongMap
from schemas.sound_format import SoundFormat
from tasks.common import errors as named
from tasks.export.formats import FORMATS, format_named
from tasks.export.options import ExportOptions

router = APIRouter(tags=["songs"])


def _number(text: Any) -> Any:
    """What stands in a query is text, which no number is equal to."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) < 4 else text


SongId = Annotated[str, PathParameter(pattern=SONG_ID_PATTERN, description="The song's id.")]
StemFile = Annotated[
    str,
    PathParameter(
        pattern=r"^(vocals|drums|bass|other|instrumental)(\.(wav|flac|mp3|opus))?$",
        description="A stem; an ending says in which form, without one as it is in the song's folder.",
        examples=["vocals.mp3"],
    ),
]
ExportName = Annotated[
    str,
    PathParameter(
        min_length=1,
        max_length=40,
        description=f"One of: {', '.join(f'`{name}`' for name in FORMATS)}.",
        examples=["chordpro"],
        json_schema_extra={"enum": list(FORMATS)},
    ),
]
PeaksOf = Annotated[str, PathParameter(pattern=r"^(mix|vocals|drums|bass|other|instrumental)$", description="A stem, or `mix`.")]
Resolution = Annotated[Literal[1, 2, 5, 10, 20, 50, 100], BeforeValidator(_number), Query(description="Pairs of peaks a second.")]
Bpm = Annotated[float | None, Query(ge=0, le=10_000, allow_inf_nan=False)]

#: What the document says of these two; `song_query` reads them.
_KEY: Final[dict[str, Any]] = {"pattern": f"^({KEY_PATTERN})?$"}
_SORT: Final[dict[str, Any]] = {"pattern": f"^(-?({'|'.join(ORDERS)}))?$"}

_UNCHANGED: Final[dict[int | str, dict[str, Any]]] = {
    304: {"description": "The client has it already: `If-None-Match`, `If-Modified-Since`."}
}
_ETAG: Final = {"ETag": {"description": "Of this state.", "schema": {"type": "string"}}}


def _file_responses(*media_types: str, model: type[BaseModel] | None = None) -> dict[int | str, dict[str, Any]]:
    """model: of the whole file, where that is JSON."""
    parts = {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in (*media_types, "multipart/byteranges")}
    whole = {"model": model} if model else {"content": {media_type: parts[media_type] for media_type in media_types}}
    return {
        200: {"description": "The whole file.", "headers": _ETAG, **whole},
        206: {"description": "The parts that `Range` asks for.", "content": parts, "headers": _ETAG},
        **_UNCHANGED,
        **responses(named.SongUnknown, named.SongFileMissing, named.RangeUnsatisfiable, named.LibraryFilling, named.StorageError),
    }


EXPORT_TYPES: Final = sorted({entry.media_type for entry in FORMATS.values()} | {form.media_type for form in SoundFormat})
_BINARY: Final[dict[str, Any]] = {"schema": {"type": "string", "format": "binary"}}
_AUDIO: Final = ("audio/wav", "audio/flac", "audio/mpeg", "audio/ogg", "audio/mp4", "audio/aiff", "application/octet-stream")
_VIDEO: Final = ("video/mp4", "video/webm", "video/x-matroska")


@router.get("/v1/songs", responses=responses(named.OptionInvalid, named.StorageError))
def list_songs(
    key_: Reader,  # noqa: ARG001 (asked for, not read)
    library: LibraryHere,
    q: Annotated[str, Query(max_length=200, description="Beginnings of words of the title, the artist, the album and the lyrics.")] = "",
    key: Annotated[
        str | None, Query(max_length=20, description="A key that the song is in: `C`, `F#m`, `Bb major`.", json_schema_extra=_KEY)
    ] = None,
    bpm_min: Bpm = None,
    bpm_max: Bpm = None,
    sort: Annotated[
        str | None,
        Query(
            max_length=20,
            json_schema_extra=_SORT,
            description="`relevance`, `title`, `artist`, `bpm`, `duration` or `created`; `-` before it turns it around. "
            "Left out: by relevance where there is a `q`, else the newest first.",
        ),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_ON_PAGE)] = 50,
    cursor: Annotated[str | None, Query(max_length=4000, description="`next` of the page before.")] = None,
) -> SongList:
    """The songs that are kept, searched and sorted. Case and diacritics do not count, in any script."""
    query = song_query(q, key, bpm_min, bpm_max, sort, limit, cursor)
    page = library.search(query)
    following = None if page.last is None else query.cursor(page.last)
    return SongList(songs=tuple(_song(entry) for entry in page.songs), next=following, complete=library.complete)


@router.get(
    "/v1/songs/{song_id}",
    response_model=None,
    responses={
        200: {
            "description": "The Song Map; with `view=first` as the first front end reads it.",
            "model": SongMap | FirstView,
            "headers": _ETAG,
        },
        **_UNCHANGED,
        **responses(named.SongUnknown, named.LibraryFilling, named.StorageError, named.SongMapInvalid),
    },
)
def read_song(
    song_id: SongId,
    request: Request,
    key: Reader,  # noqa: ARG001 (asked for, not read)
    library: LibraryHere,
    view: Annotated[Literal["first"] | None, Query(description="As another reader wants it.")] = None,
) -> Response:
    """A song's map."""
    folder = song_folder(library, song_id)
    if view == "first":
        content = first_view_of(folder)
    else:
        try:
            content = (folder / MAP_NAME).read_bytes()
        except OSError as error:
            raise ProblemError(named.SongUnknown("There is no song of this id")) from error
    return content_answer(request, content, "application/json")


@router.delete(
    "/v1/songs/{song_id}",
    status_code=HTTPStatus.NO_CONTENT,
    responses=responses(named.SongUnknown, named.LibraryFilling, named.StorageError),
)
def delete_song(song_id: SongId, key: Admin, library: LibraryHere, settings: SettingsHere) -> Response:  # noqa: ARG001 (asked for, not read)
    """Remove a song: its folder, and what nobody else refers to. Takes the scope `admin`, for a song is everybody's."""
    song_folder(library, song_id)
    remove_song(library, settings, song_id)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.head("/v1/songs/{song_id}/source", name="head_source", response_model=None, responses=_file_responses(*_AUDIO, *_VIDEO))
@router.get("/v1/songs/{song_id}/source", response_model=None, responses=_file_responses(*_AUDIO, *_VIDEO))
def read_source(
    song_id: SongId,
    request: Request,
    key: Reader,  # noqa: ARG001 (asked for, not read)
    library: LibraryHere,
    settings: SettingsHere,
) -> Response:
    """The song itself: the file that was sent where it is kept, else its decode."""
    return file_answer(request, SongFiles(song_folder(library, song_id), settings).source())


@router.head("/v1/songs/{song_id}/stems/{name}", name="head_stem", response_model=None, responses=_file_responses(*_AUDIO[:4]))
@router.get("/v1/songs/{song_id}/stems/{name}", response_model=None, responses=_file_responses(*_AUDIO[:4]))
def read_stem(
    song_id: SongId,
    name: StemFile,
    request: Request,
    key: Reader,  # noqa: ARG001 (asked for, not read)
    library: LibraryHere,
    settings: SettingsHere,
) -> Response:
    """A stem. A form that the song's folder lacks is made when it is first asked for, which takes some seconds."""
    stem, _, ending = name.partition(".")
    return file_answer(request, SongFiles(song_folder(library, song_id), settings).stem(stem, ending or None))


@router.head(
    "/v1/songs/{song_id}/peaks/{name}",
    name="head_peaks",
    response_model=None,
    responses=_file_responses("application/json", model=Peaks),
)
@router.get("/v1/songs/{song_id}/peaks/{name}", response_model=None, responses=_file_responses("application/json", model=Peaks))
def read_peaks(
    song_id: SongId,
    name: PeaksOf,
    request: Request,
    key: Reader,  # noqa: ARG001 (asked for, not read)
    library: LibraryHere,
    settings: SettingsHere,
    resolution: Resolution = 10,
) -> Response:
    """What a waveform is drawn of: audiowaveform's JSON, `data` holds min and max of each piece in turn, -128 to 127."""
    return file_answer(request, SongFiles(song_folder(library, song_id), settings).peaks(name, resolution))


@router.get(
    "/v1/songs/{song_id}/exports/{format}",
    response_model=None,
    responses={
        200: {"description": "The file.", "content": dict.fromkeys(EXPORT_TYPES, _BINARY), "headers": _ETAG},
        206: {"description": "The parts of a sound that `Range` asks for.", "content": {"multipart/byteranges": _BINARY}},
        **_UNCHANGED,
        **responses(
            named.SongUnknown,
            named.SongFileMissing,
            named.ExportFormatUnknown,
            named.ExportNeedsSound,
            named.ExportNothingToWrite,
            named.SongMapInvalid,
            named.RangeUnsatisfiable,
            named.LibraryFilling,
            named.StorageError,
        ),
    },
)
def read_export(
    song_id: SongId,
    format: ExportName,
    request: Request,
    key: Reader,  # noqa: ARG001 (asked for, not read)
    library: LibraryHere,
    settings: SettingsHere,
    options: Annotated[ExportOptions, Query()],
) -> Response:
    """The song as a file for another program: lyrics, subtitles, chord sheets, MIDI and more. A sound takes some seconds at first."""
    entry = format_named(format)
    files = SongFiles(song_folder(library, song_id), settings)
    found = files.export(entry, options)
    if isinstance(found, ServedFile):
        return file_answer(request, found)
    answer = content_answer(request, found, entry.media_type_for(options))
    answer.headers["content-disposition"] = content_disposition(files.export_name(entry, options))
    return answer


@router.head("/v1/songs/{song_id}/timeline.svg", name="head_timeline", response_model=None, responses=_file_responses("image/svg+xml"))
@router.get("/v1/songs/{song_id}/timeline.svg", response_model=None, responses=_file_responses("image/svg+xml"))
def read_timeline(
    song_id: SongId,
    request: Request,
    key: Reader,  # noqa: ARG001 (asked for, not read)
    library: LibraryHere,
    settings: SettingsHere,
) -> Response:
    """A picture of the song along its time: sections, chords, beats, melody, bass, lyrics."""
    found = SongFiles(song_folder(library, song_id), settings).timeline()
    return file_answer(request, found) if isinstance(found, ServedFile) else content_answer(request, found, "image/svg+xml")


def song_folder(library: Library, song_id: str) -> Path:
    """The folder of a song. Raises ProblemError of SongUnknown, LibraryFilling."""
    folder = library.folder_of(song_id)
    if folder is not None:
        return folder
    if not library.complete:
        raise ProblemError(named.LibraryFilling("The library still reads songs"), {"retry-after": "2"})
    raise ProblemError(named.SongUnknown("There is no song of this id"))


def tag_of(content: bytes) -> str:
    """A strong tag of what is answered."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def content_answer(request: Request, content: bytes, media_type: str) -> Response:
    """An answer that was made for this request, with a strong tag of its bytes."""
    etag = tag_of(content)
    unchanged = conditional(request, etag)
    headers = {"etag": etag, "cache-control": "no-cache", "content-security-policy": POLICY}
    return unchanged or Response(content, media_type=media_type, headers=headers)


def _song(entry: SongEntry) -> Song:
    path = f"/v1/songs/{entry.id}"
    return Song(
        id=entry.id,
        title=entry.title,
        artist=entry.artist,
        album=entry.album,
        duration_sec=entry.duration_sec,
        bpm=entry.bpm,
        key=entry.key,
        status=entry.status,
        language=entry.language,
        created=entry.created,
        links=SongLinks(
            self=path,
            source=f"{path}/source",
            timeline=f"{path}/timeline.svg",
            peaks=f"{path}/peaks/mix",
            stems={name: f"{path}/stems/{name}" for name in entry.stems},
        ),
    )
