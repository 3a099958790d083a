"""`performia api`: the HTTP API alone, and its keys."""

from __future__ import annotations

from typing import Annotated

import typer

from deployments.terminal import print_json, shown

app = typer.Typer(help="The HTTP API: songs in, Song Maps out, for other programs.", invoke_without_command=True)
keys_app = typer.Typer(help="The keys of the HTTP API. Only their hashes are kept.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")


@app.callback()
def api(
    context: typer.Context,
    host: Annotated[
        str | None, typer.Option(help="Where to listen. Default: PERFORMIA_API_HOST. Beyond this machine it needs a key.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Default: PERFORMIA_API_PORT.")] = None,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> None:
    """Serve the HTTP API against the Prefect server that the settings name, or that of a running `performia serve`."""
    if context.invoked_subcommand is None:
        from deployments.api.process import run_api

        raise typer.Exit(run_api(host, port, with_parent))


@keys_app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="What the key is called: who has it.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="read (look and listen), write (send songs, change what one has sent) or admin (everything). Default: write."),
    ] = None,
) -> None:
    """Make a key and print it, this once."""
    from deployments.api.keys import SCOPES, add_key
    from tasks.common.errors import OptionInvalid
    from tasks.common.settings import get_settings

    wanted = scope or ["write"]
    if unknown := [given for given in wanted if given not in SCOPES]:
        raise OptionInvalid(f"No scope is called {', '.join(unknown)}", f"Choose of: {', '.join(SCOPES)}")
    typer.echo(add_key(get_settings(), name, [known for known in SCOPES if known in wanted]))


@keys_app.command("list")
def list_keys(as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """The names and scopes of the keys."""
    from deployments.api.keys import KeyRing
    from tasks.common.settings import get_settings

    keys = KeyRing(get_settings()).keys()
    if as_json:
        print_json([{"name": key.name, "scopes": list(key.scopes)} for key in keys])
        return
    for key in keys:
        typer.echo(f"{shown(key.name)}  {' '.join(key.scopes)}")


@keys_app.command("revoke")
def revoke(name: Annotated[str, typer.Argument()]) -> None:
    """Forget a key: from then on it opens nothing."""
    from deployments.api.keys import revoke_key
    from tasks.common.settings import get_settings

    revoke_key(get_settings(), name)
