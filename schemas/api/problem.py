"""What the HTTP API says when it does not do what was asked for: RFC 9457, `application/problem+json`."""

from __future__ import annotations

from pydantic import Field

from schemas.results import Frozen


class FieldProblem(Frozen):
    """What is wrong with one part of a request."""

    where: str = Field(description="The field: `options.quality`, `query.limit`.", examples=["options.quality"])
    what: str = Field(examples=["Input should be 'fast', 'balanced' or 'best'"])


class Problem(Frozen):
    """Why a request, or a job, came to nothing."""

    type: str = Field(description="The page of the code.", examples=["/v1/problems/AUDIO_SILENT"])
    title: str = Field(description="What the code means.", examples=["The song is silent from beginning to end."])
    status: int = Field(description="The HTTP status.", examples=[422])
    detail: str = Field(description="What happened this time.", examples=["evening.wav is silent"])
    code: str = Field(
        description="Performia's code, which never changes its meaning.", pattern=r"^[A-Z][A-Z0-9_]*$", examples=["AUDIO_SILENT"]
    )
    todo: str = Field(description="What to do about it.", examples=["Check the recording: no sample is above -80 dBFS"])
    instance: str = Field(description="The path that was asked for, or the job's.", examples=["/v1/jobs"])
    errors: tuple[FieldProblem, ...] = Field(default=(), description="Every part of the request that is wrong, where that can be told.")
