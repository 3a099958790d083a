"""Every error of the HTTP API is a problem of RFC 9457, with Performia's own code. Which status a code has is said here, once.

No answer carries a path of the disk or a traceback: what an error says of files is cut to their names.
"""

from __future__ import annotations

import inspect
import logging
import re
import tempfile
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from schemas.api.problem import FieldProblem, Problem
from tasks.common import errors as named
from tasks.common.errors import PerformiaError, all_errors
from tasks.common.settings import Settings, get_settings

logger = logging.getLogger(__name__)

_RETRY_AFTER_SEC: Final = "5"
MEDIA_TYPE: Final = "application/problem+json"
#: The status of each error and of those below it that are not listed themselves.
STATUSES: Final[Mapping[type[PerformiaError], HTTPStatus]] = {
    PerformiaError: HTTPStatus.INTERNAL_SERVER_ERROR,
    named.AudioError: HTTPStatus.UNPROCESSABLE_ENTITY,
    named.AudioNotAudio: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    named.AudioUnreadable: HTTPStatus.INTERNAL_SERVER_ERROR,
    named.FolderError: HTTPStatus.UNPROCESSABLE_ENTITY,
    named.ModelUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    named.ModelDownloadFailed: HTTPStatus.SERVICE_UNAVAILABLE,
    named.EngineUnknown: HTTPStatus.UNPROCESSABLE_ENTITY,
    named.LanguageUnsupported: HTTPStatus.UNPROCESSABLE_ENTITY,
    named.OptionInvalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    named.OutOfMemory: HTTPStatus.SERVICE_UNAVAILABLE,
    named.ArtifactMissing: HTTPStatus.NOT_FOUND,
    named.StorageError: HTTPStatus.INSUFFICIENT_STORAGE,
    named.ApiUnreachable: HTTPStatus.SERVICE_UNAVAILABLE,
    named.DeploymentMissing: HTTPStatus.SERVICE_UNAVAILABLE,
    named.OutputPathRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    named.RequestInvalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    named.NothingThere: HTTPStatus.NOT_FOUND,
    named.MethodRefused: HTTPStatus.METHOD_NOT_ALLOWED,
    named.JobUnknown: HTTPStatus.NOT_FOUND,
    named.JobUnderWay: HTTPStatus.CONFLICT,
    named.JobEnded: HTTPStatus.CONFLICT,
    named.JobCancelled: HTTPStatus.CONFLICT,
    named.SongUnknown: HTTPStatus.NOT_FOUND,
    named.SongFileMissing: HTTPStatus.NOT_FOUND,
    named.SongChanged: HTTPStatus.PRECONDITION_FAILED,
    named.IfMatchMissing: HTTPStatus.PRECONDITION_REQUIRED,
    named.SongMapNotFound: HTTPStatus.NOT_FOUND,
    named.CorrectionsInvalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    named.CorrectionUnplaceable: HTTPStatus.UNPROCESSABLE_ENTITY,
    named.LibraryFilling: HTTPStatus.SERVICE_UNAVAILABLE,
    named.ExportFormatUnknown: HTTPStatus.NOT_FOUND,
    named.ExportNeedsSound: HTTPStatus.NOT_FOUND,
    named.ExportNothingToWrite: HTTPStatus.NOT_FOUND,
    named.RangeUnsatisfiable: HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    named.UploadTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    named.UploadBrokenOff: HTTPStatus.REQUEST_TIMEOUT,
    named.UploadUnknown: HTTPStatus.NOT_FOUND,
    named.UploadConflict: HTTPStatus.CONFLICT,
    named.UploadBusy: HTTPStatus.LOCKED,
    named.TusVersionUnsupported: HTTPStatus.PRECONDITION_FAILED,
    named.UploadTypeUnsupported: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    named.IdempotencyKeyReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    named.IdempotencyKeyBusy: HTTPStatus.CONFLICT,
    named.CallbackRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    named.ApiKeyMissing: HTTPStatus.UNAUTHORIZED,
    named.ScopeMissing: HTTPStatus.FORBIDDEN,
    named.DoorClosed: HTTPStatus.FORBIDDEN,
    named.TooManyRequests: HTTPStatus.TOO_MANY_REQUESTS,
}
#: A path with at least one folder, or one of Windows; no address of this API, which errors tell people to ask.
_PATH: Final = re.compile(r"(?<![\w:/.>])(?!/v1/)(?:/[^\s/:;,'\"()<>]+)+/?|\b[A-Za-z]:\\[^\s:;,'\"()<>]+")


class ProblemError(Exception):
    """Raised anywhere below a call of the API to answer with an error of Performia's, with further headers."""

    def __init__(self, error: PerformiaError, headers: Mapping[str, str] | None = None, errors: tuple[FieldProblem, ...] = ()):
        super().__init__(str(error))
        self.error = error
        self.headers = dict(headers or {})
        self.errors = errors


def status_of(error: type[PerformiaError]) -> HTTPStatus:
    """The HTTP status of an error."""
    return next(STATUSES[cls] for cls in error.__mro__ if cls in STATUSES)


def by_code(code: str) -> type[PerformiaError] | None:
    """The error of a code."""
    return next((error for error in all_errors() if error.code == code), None)


def problem_page(code: str) -> str:
    """Where a code is explained."""
    return f"/v1/problems/{code}"


def meaning(error: type[PerformiaError]) -> str:
    """What an error means, on one line."""
    return " ".join(inspect.cleandoc(error.__doc__ or "").partition("\n\n")[0].split())


def problem_of(
    error: PerformiaError, instance: str, errors: tuple[FieldProblem, ...] = (), names: Mapping[str, str] | None = None
) -> Problem:
    """An error as a problem. instance: the path that was asked for. names: what to say in place of some texts, such as a path."""
    return Problem(
        type=problem_page(error.code),
        title=meaning(type(error)),
        status=status_of(type(error)),
        detail=without_paths(error.what, names),
        code=error.code,
        todo=without_paths(error.what_to_do, names),
        instance=instance,
        errors=errors,
    )


def problem_of_text(message: str, instance: str, names: Mapping[str, str] | None = None) -> Problem:
    """What a run said when it failed (`… CODE: what happened. What to do.`) as a problem."""
    found = re.search(r"\b([A-Z]+(?:_[A-Z]+)+): (.*)", message, re.DOTALL)
    cls = by_code(found[1]) if found else None
    if found is None or cls is None:
        return problem_of(PerformiaError("The analysis failed", "See the run's log"), instance)
    what = found[2].strip().removesuffix(f"{cls.todo.rstrip('.')}.").strip()
    return problem_of(_made(cls, what or meaning(cls)), instance, names=names)


def without_paths(text: str, names: Mapping[str, str] | None = None) -> str:
    """A text in which no path of the disk stands: of each, the last name is left. names: what to put in place of some texts first."""
    for path, name in (names or {}).items():
        text = text.replace(path, name)
    for folder in _folders(get_settings()):
        # Names of files may hold blanks; what our own folders are is known.
        text = re.sub(rf"{re.escape(folder)}/(?:[^\n'\",;:]*/)?", "", text).replace(folder, Path(folder).name)
    return _PATH.sub(lambda found: re.split(r"[\\/]", found[0].rstrip("/"))[-1] if re.search(r"[\\/].*[\\/]", found[0]) else found[0], text)


def responses(*errors: type[PerformiaError]) -> dict[int | str, dict[str, Any]]:
    """What a call may answer besides its result, for OpenAPI: these errors, and those that any call may end with."""
    anywhere = (named.RequestInvalid, named.ApiKeyMissing, named.ScopeMissing, named.TooManyRequests, named.ApiUnreachable)
    by_status: dict[int | str, dict[str, Any]] = {}
    for error in (*errors, *anywhere):
        status = status_of(error)
        answer = by_status.setdefault(int(status), {"description": status.phrase, "content": {MEDIA_TYPE: {"examples": {}}}})
        made = _made(error, meaning(error))
        example = problem_of(made, "/v1/jobs").model_dump(mode="json", exclude_defaults=True)
        answer["content"][MEDIA_TYPE]["examples"][made.code] = {"value": example}
        answer["content"][MEDIA_TYPE]["schema"] = {"$ref": "#/components/schemas/Problem"}
    return dict(sorted(by_status.items(), key=lambda item: int(item[0])))


def answer_with(error: ProblemError, instance: str) -> Response:
    """The answer of an error."""
    problem = problem_of(error.error, instance, error.errors)
    headers = {"cache-control": "no-store", **error.headers}
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.setdefault("retry-after", _RETRY_AFTER_SEC)
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = 'Bearer realm="Performia"'
    return JSONResponse(
        problem.model_dump(mode="json", exclude_defaults=True), status_code=problem.status, headers=headers, media_type=MEDIA_TYPE
    )


def install(app: FastAPI) -> None:
    """Let the application answer every error as a problem."""

    @app.exception_handler(ProblemError)
    async def _problem(request: Request, error: ProblemError) -> Response:
        return answer_with(error, request.url.path)

    @app.exception_handler(PerformiaError)
    async def _named(request: Request, error: PerformiaError) -> Response:
        return answer_with(ProblemError(error), request.url.path)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        return answer_with(invalid(error.errors()), request.url.path)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        return answer_with(ProblemError(_of_status(error), error.headers), request.url.path)

    @app.exception_handler(Exception)
    async def _unforeseen(request: Request, error: Exception) -> Response:
        logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return answer_with(ProblemError(_unreachable(error) or PerformiaError("Something failed that was not foreseen")), request.url.path)


def invalid(found: Any, where: str = "") -> ProblemError:
    """The problem of a request whose parts pydantic refused. found: its errors. where: what they are parts of."""
    errors = tuple(
        FieldProblem(where=".".join(str(part) for part in (where, *item["loc"]) if part != ""), what=str(item["msg"])) for item in found
    )
    first = f"{errors[0].where}: {errors[0].what}" if errors else "It is not understood"
    return ProblemError(named.RequestInvalid(first), errors=errors)


def _of_status(error: HTTPException) -> PerformiaError:
    if error.status_code == HTTPStatus.NOT_FOUND:
        return named.NothingThere("There is nothing at this address")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return named.MethodRefused("This method is not taken here")
    if error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return named.RequestInvalid(str(error.detail))
    return PerformiaError("Something failed that was not foreseen")


def _unreachable(error: Exception) -> PerformiaError | None:
    """ApiUnreachable where Prefect's server is what did not answer."""
    from flows.run.unreachable import named as as_named

    found = as_named(error)
    return named.ApiUnreachable("The Prefect server does not answer") if isinstance(found, PerformiaError) else None


def _made(error: type[PerformiaError], what: str) -> PerformiaError:
    return error(what)


def _folders(settings: Settings) -> list[str]:
    """The folders whose names nobody outside is told, the longest first."""
    own = (settings.data_dir, settings.songs_dir, settings.inbox, settings.uploads, *settings.input_roots, *settings.output_roots)
    known = {str(path.absolute()) for path in (*own, Path.home(), Path(tempfile.gettempdir()), Path.cwd())}
    return sorted(known - {"/"}, key=len, reverse=True)
