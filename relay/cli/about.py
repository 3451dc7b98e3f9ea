"""``relay version``, and the machine-readable contract: ``relay schema``, ``relay asyncapi``, ``relay openapi``."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relay import __version__
from relay.cli import completion, options
from relay.cli.output import write_block, write_json, write_json_line, write_line
from relay.core.errors import RelayError

if TYPE_CHECKING:
    from relay.contract.schemas import Schema

Yaml = Annotated[bool, typer.Option("--yaml", help="As YAML instead of JSON.")]
JsonAsAlways = Annotated[bool, typer.Option("--json", help="As JSON, the default without --yaml.")]


def version(json: options.Json = False) -> None:
    """Show the version."""
    if json:
        write_json({"relay": __version__, "python": platform.python_version()})
    else:
        write_line((f"relay {__version__} (Python {platform.python_version()})", ""))


def show_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit()


def schema(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            autocompletion=completion.schema_names,
            help="The schema to show; without it, list the names.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Write all schemas to this directory."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Show the JSON Schemas of the events' data."""
    from relay.contract import rendered, schemas

    if output is not None:
        if name is not None:
            raise typer.BadParameter("writes all schemas: omit the name", param_hint="'--output'")
        _write_all(output)
        return
    found = schemas()
    if name is None and not json:
        for known, document in found.items():
            write_line((f"{known:<14}{document['$id']}", ""))
    elif name is None:
        write_json(found)
    elif name in found:
        write_json_line(rendered(found[name]).rstrip(b"\n"))
    else:
        raise RelayError("unknown_schema", f"There is no schema {name!r}.", hint=f"Known: {', '.join(found)}.")


def asyncapi(yaml: Yaml = False, json: JsonAsAlways = False) -> None:
    """Show what relay receives and publishes, as AsyncAPI."""
    from relay.contract import asyncapi as described

    _write_document(described(__version__), yaml=yaml, json=json)


def openapi(yaml: Yaml = False, json: JsonAsAlways = False) -> None:
    """Show the routes of both listeners as OpenAPI."""
    from relay.contract import openapi as described

    _write_document(described(__version__), yaml=yaml, json=json)


def _write_document(document: Schema, *, yaml: bool, json: bool) -> None:
    from relay.contract import rendered

    if yaml and json:
        raise typer.BadParameter("excludes --json", param_hint="'--yaml'")
    text = rendered(document)
    if not yaml:
        write_json_line(text.rstrip(b"\n"))
        return
    from orjson import loads
    from yaml import safe_dump

    # Read back first: parts that the document has twice would become anchors and aliases.
    write_block(safe_dump(loads(text), sort_keys=False, allow_unicode=True, width=120))


def _write_all(folder: Path) -> None:
    from relay.contract import rendered, schemas

    folder.mkdir(parents=True, exist_ok=True)
    for name, document in schemas().items():
        path = folder / f"{name}.json"
        path.write_bytes(rendered(document))
        write_line((str(path), ""))
