"""The way in of the `performia` command, under a name that no other project uses.

`flows`, `tasks`, `schemas` and `deployments` are names that other projects use too. Where a foreign one is found first, Performia cannot
run: this module, which needs none of them, says which one and where, instead of an import that fails somewhere inside.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from pathlib import Path

PACKAGES = ("flows", "tasks", "schemas", "deployments")
_TODO = (
    "Run Performia in a virtual environment of its own, with PYTHONPATH unset; in a program that has a package of that name, "
    "run the command `performia` as a process of its own."
)


class ForeignPackages(ImportError):
    """Packages of other projects stand where Performia's own should be. `code` is stable, like those of tasks.common.errors."""

    code = "FOREIGN_PACKAGES"


def main() -> None:
    """Run the command."""
    try:
        refuse_foreign_packages()
        try:
            from deployments.cli.main import main as run
        except (ImportError, AttributeError) as error:
            if overwritten := overwritten_packages():
                raise ForeignPackages(_text(overwritten)) from error
            raise
    except ForeignPackages as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    run()


def refuse_foreign_packages() -> None:
    """Raise ForeignPackages where one of the packages is imported, or would be, from somewhere else than beside this module."""
    if foreign := foreign_packages():
        raise ForeignPackages(_text(foreign))


def foreign_packages() -> dict[str, str]:
    """{package: where it is} of those that are not beside this module."""
    home = Path(__file__).resolve().parent
    places = {name: _place(name) for name in PACKAGES}
    return {name: str(place) if place else "nowhere" for name, place in places.items() if place is None or place.resolve().parent != home}


def overwritten_packages() -> dict[str, str]:
    """{package: who else installed it} of those whose files another distribution has put into the same folder."""
    others: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name and name.lower() != "performia":
            tops = {file.parts[0] for file in distribution.files or () if len(file.parts) > 1}
            others |= {package: f"installed by {name} too" for package in PACKAGES if package in tops}
    return others


def _place(name: str) -> Path | None:
    """The folder of a package that is imported or would be; the file of a module."""
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None) if module is not None else importlib.util.find_spec(name)
    if spec is None:
        return None
    for place in spec.submodule_search_locations or ():
        return Path(place)
    return Path(spec.origin) if spec.origin else None


def _text(packages: dict[str, str]) -> str:
    found = ", ".join(f"`{name}` ({place})" for name, place in packages.items())
    return f"{ForeignPackages.code}: Other projects' packages stand in the way of Performia's: {found}. {_TODO}"


if __name__ == "__main__":
    main()
