"""The keys of the step cache: what decides a step's result, and nothing else. Known without Prefect, whose import takes seconds.

A key must hold across processes and runs (Prefect's own contains the run's id) and change with the step's version, engine, weights and
options.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from schemas.plan import StepPlan
from schemas.results import StepResult, digest_of
from tasks.common.errors import PerformiaError
from tasks.common.settings import get_settings
from tasks.common.storage.result_records import RecordRefused, Records

#: Inputs that steps got when there were results already. Where one is absent, the key is what it was before.
_LATER: Final = frozenset({"corrections"})


def step_key(step: str, version: int, inputs: dict[str, Any]) -> str:
    """The cache key of one execution of a step: readable name, version, and a digest of everything that decides the result.

    inputs: the step's parameters by name. A `StepPlan` counts by its expected engine, weights and options; a step's result by its content;
    a failed or absent input (an exception, or None) as absent; a path not at all, for where a file lies is not what it is; anything else by
    its JSON.
    """
    identities = {name: _identity(value) for name, value in sorted(inputs.items()) if _counts(name, value)}
    material = {"step": step, "version": version, "inputs": identities}
    return f"{step}-v{version}-{digest_of(material)[:40]}"


def is_kept(step: str, version: int, **inputs: Any) -> bool:
    """Whether the step cache holds a result of the step for these inputs. It may be stale: see
    `tasks.common.orchestration.caching.refuse_unusable`."""
    try:
        Records(get_settings().results_url).read(step_key(step, version, inputs))
    except (OSError, PerformiaError, RecordRefused):
        return False
    return True


def _counts(name: str, value: Any) -> bool:
    return not isinstance(value, Path) and not (name in _LATER and value is None)


def _identity(value: Any) -> Any:
    if isinstance(value, StepPlan):
        return value.cache_identity()
    if isinstance(value, StepResult):
        return value.content_hash()
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if value is None or isinstance(value, BaseException):
        return None
    return value
