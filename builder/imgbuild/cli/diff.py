"""`imgbuild diff A B`: how two profiles, or two output folders, differ."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from imgbuild.cli.compare_folders import folder_differences
from imgbuild.cli.compare_profiles import profile_differences
from imgbuild.cli.completion import profile_names
from imgbuild.cli.difference import Difference
from imgbuild.cli.options import layer_option
from imgbuild.cli.output import Says, ends_well
from imgbuild.cli.parsing import Command
from imgbuild.config.shipped import shipped
from imgbuild.diagnostics.errors import InvalidInput, UsageError
from imgbuild.pipeline import Request

_TROUBLE = 2  # like diff(1): with --exit-code, 1 means that they differ


@click.command("diff", cls=Command)
@click.argument("a", shell_complete=profile_names)
@click.argument("b", shell_complete=profile_names)
@ends_well
@layer_option("Apply this layer on top of both profiles (repeatable; later ones win).")
@click.option("--mode", type=click.Choice(["baked", "stock"]), help="Compare both profiles in this mode.")
@click.option(
    "--exit-code", is_flag=True, help="Exit with 1 if they differ, with 0 if not, and with 2 if the input has errors."
)
def command(says: Says, a: str, b: str, layers: tuple[str, ...], mode: str | None, exit_code: bool) -> int:
    """Show how two profiles, or two output folders, differ.

    For profiles: keys, kernel arguments, disk layout, and a unified diff of the files on the node. For folders, such
    as out/a out/b: what their manifests record, and a unified diff of text files. Secrets are never shown.
    """
    try:
        found = list(_differences(a, b, layers, mode))
    except InvalidInput as error:
        if not exit_code:
            raise
        says.findings(error.findings)
        return _TROUBLE
    for difference in found:
        if says.json:
            says.event("difference", kind=difference.kind, name=difference.name, **difference.fields)
        else:
            for line in difference.lines:
                click.echo(line)
    says.result(differences=len(found))
    if not says.json and not any(difference.kind == "file" for difference in found):
        says.note("their files are equal" if found else "no differences")
    return 1 if exit_code and found else 0


def _differences(a: str, b: str, layers: tuple[str, ...], mode: str | None) -> Iterator[Difference]:
    folders = [_is_folder(name) for name in (a, b)]
    if not any(folders):
        return profile_differences(*(Request(each, layers, (), mode, lock=False) for each in (a, b)))
    if not all(folders):
        folder, other = (a, b) if folders[0] else (b, a)
        raise UsageError(f"{folder} is a folder and {other} is not", "give two profiles, or two output folders")
    if layers or mode is not None:
        raise UsageError("--layer and --mode apply to profiles, not to output folders", "remove them")
    return folder_differences(Path(a), Path(b))


def _is_folder(name: str) -> bool:
    """Whether an output folder is meant: a shipped profile's name means the profile, ./NAME the folder."""
    return name not in shipped("profiles") and Path(name).is_dir()
