"""`imgbuild explain KEY`: what a key is, and where its value came from."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click

from imgbuild.cli.options import Given, input_options
from imgbuild.cli.output import Says, ends_well
from imgbuild.config.layers import closest
from imgbuild.config.load import load
from imgbuild.config.redact import shown
from imgbuild.diagnostics.errors import UsageError
from imgbuild.diagnostics.findings import Findings, InvalidInput, format_path
from imgbuild.pipeline import Request


@click.command("explain")
@click.argument("key")
@ends_well
@input_options(cluster=False)
def command(says: Says, key: str, given: Given) -> None:
    """Say what KEY is and which file and line set it, each that did."""
    findings = Findings()
    for line in explain(given.request(), key, findings):
        click.echo(line)
    if findings.errors:
        raise InvalidInput(findings)


def explain(request: Request, key: str, findings: Findings) -> Iterator[str]:
    """Lines that say what ``key`` is and every place that set it, the newest last.

    Errors in the input go to ``findings`` and stop nothing: that is when one wants to know where a value is from.

    Raises:
        InvalidInput: the profile could not be loaded. UsageError: there is no such key.
    """
    loaded = load(request.profile, request.layers, request.sets, request.mode, findings)
    if loaded is None:
        raise InvalidInput(findings)
    layered = loaded.layered
    known = {format_path(path): path for path in layered.history if path}
    below = [name for name in known if name.startswith((f"{key}.", f"{key}["))]
    if key not in known and not below:
        raise UsageError(f"there is no key {key}", closest(key, list(known)) or "imgbuild explain kernel lists a part")
    for name in [key] if key in known and not below else sorted(below):
        for mark, value in layered.history[known[name]]:
            if not (isinstance(value, (dict, list)) and value):
                text = json.dumps(shown(known[name], value), ensure_ascii=False, default=str)
                yield f"{name} = {text}  ({mark})"
