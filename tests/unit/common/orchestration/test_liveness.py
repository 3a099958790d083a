"""Which flows are ours: what is looked after, pruned and counted as running."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tasks.common.orchestration.liveness import FLOWS

ROOT = Path(__file__).parents[4]
DECORATORS = ("flow", "patient_flow")


def _flows(source: str) -> Iterator[str]:
    """The names that the flow decorators of a module give."""
    for node in ast.walk(ast.parse(source)):
        for decorator in node.decorator_list if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else ():
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if getattr(called, "id", getattr(called, "attr", "")) in DECORATORS:
                keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
                yield next((str(ast.literal_eval(word.value)) for word in keywords if word.arg == "name"), node.name.replace("_", "-"))


def test_every_flow_is_looked_after() -> None:
    defined = [name for path in sorted((ROOT / "flows").rglob("*.py")) for name in _flows(path.read_text(encoding="utf-8"))]
    assert sorted(defined) == sorted(FLOWS)


def test_flows_are_found_however_they_are_decorated() -> None:
    source = "@flow\ndef a_song(): ...\n@prefect.flow(retries=1)\nasync def b_song(): ...\n"
    source += "@patient_flow(name='c')\ndef d(): ...\n@task\ndef e(): ..."
    assert list(_flows(source)) == ["a-song", "b-song", "c"]
