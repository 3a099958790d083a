"""Uploads that go on where they broke off: the calls of tus 1.0 (https://tus.io/protocols/resumable-upload), its core with creation,
termination and expiration. A finished one is the file of a job: `POST /v1/jobs` with the field `upload`.

Not tuspyserver (4.4.3): it keeps the offset beside the bytes, so that a piece that is refused half-way, or whose process is killed, lies in
the file twice once it is sent again, and is answered with 204; and it writes and waits for locks in the event loop, which holds up every
other client.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import email.utils
import os
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from deployments.api.access import LimitsHere, SettingsHere, Writer, WritersHere
from deployments.api.keys import Key
from deployments.api.problems import ProblemError, invalid, responses
from deployments.api.resumable import ID_PATTERN, Upload, begin, find, remove
from deployments.api.uploads import BEGINNING, most_bytes, named_as, pieces_of, public_name, too_large
from tasks.common import errors as named
from tasks.common.errors import PerformiaError
from tasks.common.settings import Settings
from tasks.ingest.first_look import refuse_beginning

VERSION: Final = "1.0.0"
_EXTENSIONS: Final = "creation,termination,expiration"
_MEDIA_TYPE: Final = "application/offset+octet-stream"
_BLOCK: Final = 1 << 20


class TusRoute(APIRoute):
    """Every answer says which version of tus it is of, those that refuse too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                response = await handler(request)
            except RequestValidationError as error:
                problem = invalid(error.errors())
                problem.headers["tus-resumable"] = VERSION
                raise problem from error
            except ProblemError as error:
                error.headers["tus-resumable"] = VERSION
                raise
            except PerformiaError as error:
                raise ProblemError(error, {"tus-resumable": VERSION}) from error
            response.headers["tus-resumable"] = VERSION
            return response

        return answered


def _speaking(request: Request, key: Writer) -> Key:
    """The key of whoever asks, in our version of tus. Raises ProblemError of TusVersionUnsupported."""
    if request.headers.get("tus-resumable") != VERSION:
        raise ProblemError(named.TusVersionUnsupported(f"Version {VERSION} of tus is spoken here"), {"tus-version": VERSION})
    return key


router = APIRouter(tags=["uploads"], route_class=TusRoute)

Speaker = Annotated[Key, Depends(_speaking)]
#: What `_speaking` reads. Where it is missing or another, tus wants 412, and not the 422 of other headers.
_TUS: Final = {"parameters": [{"name": "Tus-Resumable", "in": "header", "required": True, "schema": {"type": "string", "enum": [VERSION]}}]}
UploadId = Annotated[str, PathParameter(pattern=ID_PATTERN, description="The upload's id.")]
_TEXT: Final = {"schema": {"type": "string"}}
_STATE: Final = {
    "Upload-Offset": {"description": "How many bytes have arrived.", "schema": {"type": "string"}},
    "Upload-Expires": {"description": "When it goes, if nothing more arrives.", "schema": {"type": "string"}},
}


@router.options("/v1/uploads", status_code=HTTPStatus.NO_CONTENT, responses=responses())
async def describe_uploads(settings: SettingsHere) -> Response:
    """What of tus is spoken, and how long an upload may be."""
    headers = {"tus-version": VERSION, "tus-extension": _EXTENSIONS, "tus-max-size": str(most_bytes(settings))}
    return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)


@router.post(
    "/v1/uploads",
    status_code=HTTPStatus.CREATED,
    response_class=Response,
    openapi_extra=_TUS,
    responses={
        HTTPStatus.CREATED: {"description": "`Location` says where the pieces go.", "headers": {"Location": _TEXT, **_STATE}},
        **responses(named.TusVersionUnsupported, named.UploadTooLarge, named.StorageError),
    },
)
async def begin_upload(
    key: Speaker,
    settings: SettingsHere,
    upload_length: Annotated[int, Header(ge=0, description="How many bytes it will have.")],
    upload_metadata: Annotated[
        str,
        Header(max_length=4096, pattern=r"^[ -~]*$", description="tus's pairs of names and base64; `filename` is what the file is called."),
    ] = "",
) -> Response:
    """Begin an upload that may break off and go on, for as long as a day passes between two pieces of it."""
    if upload_length > most_bytes(settings):
        raise ProblemError(too_large(settings))
    name = public_name(_metadata(upload_metadata).get("filename", ""))
    upload = await asyncio.to_thread(begin, settings, key, upload_length, name, upload_metadata)
    return _state(upload, HTTPStatus.CREATED, {"location": f"/v1/uploads/{upload.id}"})


@router.head(
    "/v1/uploads/{upload_id}",
    response_class=Response,
    openapi_extra=_TUS,
    responses={
        HTTPStatus.OK: {"description": "How much has arrived.", "headers": {**_STATE, "Upload-Length": _TEXT}},
        **responses(named.TusVersionUnsupported, named.UploadUnknown),
    },
)
async def read_upload(upload_id: UploadId, key: Speaker, settings: SettingsHere) -> Response:
    """How much of an upload has arrived."""
    upload = await asyncio.to_thread(find, settings, upload_id, key)
    headers = {"upload-length": str(upload.facts.length)}
    if upload.facts.metadata:
        headers["upload-metadata"] = upload.facts.metadata
    return _state(upload, HTTPStatus.OK, headers)


@router.patch(
    "/v1/uploads/{upload_id}",
    status_code=HTTPStatus.NO_CONTENT,
    openapi_extra={**_TUS, "requestBody": {"required": True, "content": {_MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}}},
    responses={
        HTTPStatus.NO_CONTENT: {"description": "The piece is there.", "headers": _STATE},
        **responses(
            named.TusVersionUnsupported,
            named.UploadTypeUnsupported,
            named.UploadUnknown,
            named.UploadConflict,
            named.UploadBusy,
            named.UploadTooLarge,
            named.UploadBrokenOff,
            named.StorageError,
            named.AudioNotAudio,
            named.AudioTooLong,
        ),
    },
)
async def continue_upload(
    upload_id: UploadId,
    request: Request,
    key: Speaker,
    settings: SettingsHere,
    limits: LimitsHere,
    writers: WritersHere,
    upload_offset: Annotated[int, Header(ge=0, description="Where the piece begins: what `HEAD` says.")],
) -> Response:
    """Send a piece of an upload, from where it stands. What of it arrives is kept, also where the connection breaks."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _MEDIA_TYPE:
        raise ProblemError(named.UploadTypeUnsupported("A piece of an upload has another media type"))
    upload = await asyncio.to_thread(find, settings, upload_id, key)

    async def work() -> None:
        with limits.upload(key.name):
            await _append(request, await asyncio.to_thread(find, settings, upload_id, key), upload_offset, settings)

    await writers.write(upload, work)
    return _state(upload, HTTPStatus.NO_CONTENT)


@router.delete(
    "/v1/uploads/{upload_id}",
    status_code=HTTPStatus.NO_CONTENT,
    openapi_extra=_TUS,
    responses=responses(named.TusVersionUnsupported, named.UploadUnknown, named.UploadBusy),
)
async def end_upload(upload_id: UploadId, key: Speaker, settings: SettingsHere, writers: WritersHere) -> Response:
    """Forget an upload. A job that has its bytes keeps them."""
    upload = await asyncio.to_thread(find, settings, upload_id, key)
    async with writers.alone(upload):
        await asyncio.to_thread(remove, upload)
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def _append(request: Request, upload: Upload, begin_at: int, settings: Settings) -> None:
    offset = upload.offset
    if begin_at != offset:
        raise ProblemError(named.UploadConflict(f"{offset} bytes of the upload have arrived, and not {begin_at}"))
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > upload.facts.length - offset:
        raise ProblemError(_too_long(upload))
    block = bytearray()
    try:
        with upload.part.open("ab") as file:
            try:
                async for piece in pieces_of(request):
                    if offset + len(block) + len(piece) > upload.facts.length:
                        raise ProblemError(_too_long(upload))
                    block += piece
                    if len(block) >= _BLOCK:
                        done, block = block, bytearray()
                        await asyncio.to_thread(file.write, done)
                        offset = await _looked_at(upload, offset, len(done), file.flush, settings)
            finally:  # what has arrived need not be sent again

                def last() -> None:
                    file.write(block)
                    file.flush()
                    os.fsync(file.fileno())

                await asyncio.to_thread(last)
        await _looked_at(upload, offset, len(block), lambda: None, settings)
    except OSError as error:
        raise ProblemError(named.StorageError(f"The upload cannot be kept: {error.strerror}")) from error


async def _looked_at(upload: Upload, offset: int, more: int, flush: Callable[[], None], settings: Settings) -> int:
    """The new offset. What shows by its beginning to be no song goes at once, and ProblemError of its error is raised."""
    if offset < BEGINNING <= offset + more:
        await asyncio.to_thread(flush)
        try:
            await asyncio.to_thread(refuse_beginning, upload.part, settings)
        except PerformiaError as error:
            await asyncio.to_thread(remove, upload)
            raise ProblemError(named_as(error, {str(upload.part): upload.facts.name})) from error
    return offset + more


def _too_long(upload: Upload) -> named.UploadTooLarge:
    return named.UploadTooLarge(f"The upload was announced with {upload.facts.length} bytes", "Send what it was announced with")


def _state(upload: Upload, status: HTTPStatus, headers: dict[str, str] | None = None) -> Response:
    expires = email.utils.formatdate(upload.expires, usegmt=True)
    known = {"upload-offset": str(upload.offset), "upload-expires": expires, "cache-control": "no-store"}
    return Response(status_code=status, headers={**known, **(headers or {})})


def _metadata(text: str) -> dict[str, str]:
    """tus's pairs. Raises ProblemError of RequestInvalid."""
    found = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = pair.partition(" ")
        try:
            found[name] = base64.b64decode(value, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ProblemError(named.RequestInvalid(f"Upload-Metadata: {name[:60]!r} has no base64 of UTF-8")) from error
    return found
