"""What persons put right in a song: read, and said. The song's map is written anew at once; no step runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse

from deployments.api.access import LibraryHere, Reader, SettingsHere, Writer
from deployments.api.file_answers import tags_in
from deployments.api.problems import responses
from deployments.api.songs import SongId, content_answer, song_folder, tag_of
from schemas import corrections as c
from schemas.api.corrections import CorrectionsWanted, SongCorrections
from schemas.song_folder import MAP_NAME
from tasks.common import errors as named
from tasks.common.errors import IfMatchMissing, SongChanged, SongUnknown
from tasks.corrections.log import replaced_by, with_changes
from tasks.packager.correct import CorrectedSong, correct_song, read_corrected

router = APIRouter(tags=["songs"])

_ETAG: Final[dict[str, Any]] = {"ETag": {"description": "Of this state.", "schema": {"type": "string"}}}
_ERRORS: Final = (named.SongUnknown, named.LibraryFilling, named.StorageError, named.SongMapInvalid, named.CorrectionsInvalid)


@router.get(
    "/v1/songs/{song_id}/corrections",
    response_model=None,
    responses={
        200: {"description": "The whole log.", "model": SongCorrections, "headers": _ETAG},
        304: {"description": "The client has it already: `If-None-Match`."},
        **responses(*_ERRORS),
    },
)
def read_corrections(
    song_id: SongId,
    request: Request,
    key: Reader,  # noqa: ARG001 (asked for, not read)
    library: LibraryHere,
    settings: SettingsHere,
) -> Response:
    """What persons put right in a song, and what became of each."""
    song = read_corrected(settings, song_folder(library, song_id))
    return content_answer(request, _shown(song).model_dump_json().encode("utf-8"), "application/json")


@router.patch(
    "/v1/songs/{song_id}",
    response_model=None,
    responses={
        200: {
            "description": "Said and kept: what became of it is in `outcomes`, and a conflict is kept too. `ETag` is that of the new map.",
            "model": SongCorrections,
            "headers": _ETAG,
        },
        **responses(*_ERRORS, named.SongChanged, named.IfMatchMissing),
    },
)
def correct(
    song_id: SongId,
    wanted: CorrectionsWanted,
    key: Writer,
    library: LibraryHere,
    settings: SettingsHere,
    if_match: Annotated[str | None, Header(max_length=4000, description="The `ETag` of the map that is put right.")] = None,
) -> Response:
    """Put something right in a song. It is appended to its corrections with who said it, and holds in every later analysis.

    `If-Match` is needed: who has not seen what somebody else changed meanwhile is told so.
    """
    if if_match is None:
        raise IfMatchMissing("A song is put right in the state that was seen")
    folder = song_folder(library, song_id)
    before: set[str] = set()

    def change(song: CorrectedSong) -> c.Corrections:
        if if_match.strip() != "*" and _tag(folder) not in tags_in(if_match):
            raise SongChanged("The song has changed since")
        before.update(operation.id for operation in song.log.operations)
        sayings = [(saying, replaced_by(saying)) for saying in wanted.changes]
        return with_changes(song.log, song.map, sayings, wanted.author or key.name)

    song = correct_song(settings, folder, change)
    added = tuple(operation.id for operation in song.log.operations if operation.id not in before)
    content = _shown(song, added).model_dump(mode="json")
    return JSONResponse(content, headers={"etag": _tag(folder), "cache-control": "no-store"})


def _shown(song: CorrectedSong, added: tuple[str, ...] = ()) -> SongCorrections:
    return SongCorrections(song=song.map.id, operations=song.log.operations, outcomes=song.outcomes, added=added)


def _tag(folder: Path) -> str:
    """That of the song's map, as `GET /v1/songs/{id}` gives it. Raises SongUnknown."""
    try:
        return tag_of((folder / MAP_NAME).read_bytes())
    except OSError as error:
        raise SongUnknown("There is no song of this id") from error
