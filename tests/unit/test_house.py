"""The rules of the house: an import never runs back up, Prefect and numpy are only where they may be, and there is no circle.

Every import counts, also those inside functions, and so does the name of a module in a string.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from schemas import song_folder

ROOT = Path(__file__).parents[2]
PACKAGES = ("deployments", "flows", "tasks", "schemas")
#: From the ground up. A module belongs to the first floor whose pattern fits its name.
FLOORS = (
    r"schemas\b",
    r"tasks\.common(?!\.orchestration)\b",
    r"tasks\.common\.orchestration\b",
    r"tasks\b",
    r"flows\b",
    r"deployments\b",
)
#: Rooms of `tasks` that may use the steps'; all others, those of the steps and `export`, know nothing of each other.
ABOVE_STEPS = ("common", "evaluation", "corrections")
MAY_IMPORT_PREFECT = re.compile(r"deployments\b|flows\b|tasks\.\w+\.task$|tasks\.common\.orchestration\b")
#: The one module that uses what Prefect does not name or document.
PREFECT_PRIVATE = "tasks.common.orchestration.prefect_private"
#: What has a name without an underscore there, and no documentation. Of Prefect's server, only how it is made has.
UNDOCUMENTED = {"default_cache", "drain_all", "PrefectConsoleHandler", "increment_concurrency_slots_with_lease"}
#: The entry points of the deployments, which Prefect is given as text.
MAY_NAME_MODULES = ("deployments.definitions",)


@cache
def modules() -> dict[str, ast.Module]:
    """{dotted name: syntax tree} of the product."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imported(name: str) -> Iterator[str]:
    """The modules that a module imports, anywhere in it; ours as the module itself, however it is imported."""
    for node in ast.walk(modules()[name]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            base = node.module or ""
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield whole if whole in modules() else base


@cache
def graph() -> dict[str, frozenset[str]]:
    return {name: frozenset(other for other in imported(name) if other in modules() and other != name) for name in modules()}


def tops(name: str) -> set[str]:
    return {other.partition(".")[0] for other in imported(name)}


def floor(name: str) -> int:
    return next(number for number, pattern in enumerate(FLOORS) if re.match(pattern, name))


def step(name: str) -> str | None:
    """The step's room that a module of `tasks` lies in."""
    parts = name.split(".")
    return parts[1] if parts[0] == "tasks" and len(parts) > 1 and parts[1] not in ABOVE_STEPS else None


def test_imports_never_run_back_up() -> None:
    assert [(name, other) for name in graph() for other in graph()[name] if floor(other) > floor(name)] == []


def test_a_step_knows_no_other() -> None:
    assert [(name, other) for name in graph() if step(name) for other in graph()[name] if step(other) not in (None, step(name))] == []


def test_prefect_is_imported_only_where_steps_are_run() -> None:
    assert [name for name in modules() if "prefect" in tops(name) and not MAY_IMPORT_PREFECT.match(name)] == []


def private_in_prefect(name: str) -> Iterator[str]:
    """What a module uses of Prefect, or of its server's queue, that is private or undocumented."""
    for node in ast.walk(modules()[name]):
        if isinstance(node, ast.Import):
            wholes = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            wholes = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute):
            wholes = [f"prefect.{node.attr}"] if node.attr == "__var__" or node.attr in UNDOCUMENTED else []
        else:
            wholes = [f"prefect.{node.value}"] if isinstance(node, ast.Constant) and str(node.value).startswith("PREFECT__") else []
        for whole in wholes:
            top, *parts = whole.split(".")
            theirs = top.startswith("prefect") and any(part.startswith(("_", "PREFECT__")) or part in UNDOCUMENTED for part in parts)
            server = parts[:1] == ["server"] and top == "prefect" and parts[-1] != "create_app"
            if theirs or server or top in ("docket", "burner_redis"):
                yield whole


def test_what_is_private_in_prefect_is_used_in_one_module() -> None:
    assert [(name, use) for name in modules() if name != PREFECT_PRIVATE for use in private_in_prefect(name)] == []
    assert {"prefect.__var__", "docket.Worker", "prefect.drain_all"} <= set(private_in_prefect(PREFECT_PRIVATE))


def test_no_other_module_is_excused_for_what_is_private_in_prefect() -> None:
    excused = re.compile(r"noqa: [^(\n]*SLF001[^(\n]*\(Prefect")
    sources = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert [path for path in sources if excused.search(path.read_text(encoding="utf-8"))] == []


def test_flows_compute_nothing() -> None:
    computing = {"numpy", "scipy", "torch", "librosa"}
    assert [name for name in modules() if name.startswith("flows") and tops(name) & computing] == []


def test_locks_have_one_owner() -> None:
    assert [name for name in modules() if "filelock" in tops(name)] == ["tasks.common.locks"]


def test_librosa_is_imported_where_numbas_cache_is_locked() -> None:
    assert [name for name in modules() if {"librosa", "numba"} & tops(name)] == ["tasks.common.numba_cache"]


def test_files_are_put_in_place_by_one_owner() -> None:
    moving = {("os", "rename"), ("os", "replace"), ("os", "link"), ("shutil", "move"), ("shutil", "copy"), ("shutil", "copy2")}
    found = {name for name, tree in modules().items() if moving & {named for node in ast.walk(tree) if (named := _attribute(node))}}
    assert found == {"tasks.common.storage.atomic"}


def _attribute(node: ast.AST) -> tuple[str, str] | None:
    """("os", "rename") of `os.rename`."""
    return (node.value.id, node.attr) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) else None


def test_the_names_in_a_songs_folder_have_one_owner() -> None:
    names = {value for value in vars(song_folder).values() if isinstance(value, str) and re.fullmatch(r"\w+\.(json|svg|txt)", value)}
    assert len(names) >= 4
    owners = {name for name, tree in modules().items() for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value in names}
    assert owners == {song_folder.__name__}


def test_no_import_is_hidden_in_a_string() -> None:
    hidden = []
    for name, tree in modules().items():
        texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        hidden += [(name, text) for text in texts if "." in text and text.partition(":")[0] in modules() and name not in MAY_NAME_MODULES]
    assert hidden == []


def test_no_circle_of_modules() -> None:
    refuse_circle(graph())


def test_no_circle_of_rooms() -> None:
    between: dict[str, set[str]] = {}
    for name, others in graph().items():
        between.setdefault(room(name), set()).update(room(other) for other in others if room(other) != room(name))
    refuse_circle(between)


def room(name: str) -> str:
    """The folder that a module lies in; all of `tasks.common` is one, and so is what lies beside the rooms of a floor."""
    first, *more = name.split(".")
    return f"{first}.{more[0]}" if more and (ROOT / first / more[0]).is_dir() else first


def refuse_circle(edges: Mapping[str, Collection[str]]) -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            for other in sorted(edges.get(name, ())):
                visit(other, (*path, name))
            done.add(name)

    for name in edges:
        visit(name, ())


def test_every_module_of_flows_and_common_has_a_unit_test() -> None:
    tested: set[str] = set()
    for path in (ROOT / "tests" / "unit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                tested.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                tested.update({node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)})
    packages = {name.rpartition(".")[0] for name in modules()}
    wanted = [name for name in modules() if name.startswith(("flows.", "tasks.common.")) and name not in packages]
    assert [name for name in wanted if name not in tested] == []


def test_the_rules_see_what_they_forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        modules(), "tasks.chords.made_up", ast.parse("def f():\n    from flows import song_analysis\n    import prefect.states")
    )
    assert set(imported("tasks.chords.made_up")) == {"flows.song_analysis", "prefect.states"}
    assert (
        floor("flows.song_analysis")
        > floor("tasks.chords.made_up")
        > floor("tasks.common.orchestration.slots")
        > floor("tasks.common.audio")
    )
    assert not MAY_IMPORT_PREFECT.match("tasks.chords.made_up")
    for private in (
        "from prefect._internal.concurrency import services",
        "from prefect.runner import _observers",
        "from prefect.results import default_cache",
        "from prefect.server.events import triggers",
        "from docket import Worker",
        "TaskRunContext.__var__.set(None)",
        "environment = {'PREFECT__SERVER_FINAL': '1'}",
    ):
        monkeypatch.setitem(modules(), "tasks.chords.made_up", ast.parse(private))
        assert list(private_in_prefect("tasks.chords.made_up")), private
