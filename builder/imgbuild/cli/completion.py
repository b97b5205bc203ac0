"""Shell completion: names of profiles and layers, keys, and codes of findings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class

from imgbuild.config.shipped import shipped


def profile_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Shipped profiles, and YAML files."""
    return _names_and_files("profiles", incomplete)


def layer_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Shipped layers, and YAML files."""
    return _names_and_files("layers", incomplete)


def keys_to_set(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The profile's keys that have a value, in the form for --set: ``time.zone=``."""
    from imgbuild.config.declared import ITEM, NAME, places
    from imgbuild.config.profile import Profile  # it takes 100 ms, and most completions do not need it

    keys = [place.key for place in places(Profile) if place.model is None and not {ITEM, NAME} & {*place.path}]
    return [CompletionItem(f"{key}=") for key in keys if key.startswith(incomplete)]


def keys_to_explain(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The keys of a profile and of a cluster file, sections too; codes of findings."""
    from imgbuild.config.declared import documents, places
    from imgbuild.diagnostics.codes import CODES

    keys = [place.key for kind in ("profile", "cluster") for place in places(documents()[kind])]
    return [CompletionItem(word) for word in (*keys, *(CODES if incomplete else ())) if word.startswith(incomplete)]


def components_to_update(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What `imgbuild lock --update` can update; a version follows after an equals sign."""
    from imgbuild.config.lock import COMPONENTS  # pydantic takes 100 ms, and most completions do not need it

    return [CompletionItem(name) for name in (*COMPONENTS, "packages", "all") if name.startswith(incomplete)]


def _names_and_files(kind: str, incomplete: str) -> list[CompletionItem]:
    names = [name for name in shipped(kind) if name.startswith(incomplete)]
    return [CompletionItem(word) for word in (*names, *_yaml_files(incomplete))]


def _yaml_files(incomplete: str) -> Iterator[str]:
    """Files that end in .yaml or .yml, and folders, which end in a slash so that completion continues."""
    folder, start = os.path.split(incomplete)
    try:
        found = sorted(os.scandir(folder or "."), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in found:
        if not entry.name.startswith(start) or (entry.name.startswith(".") and not start):
            continue
        if entry.is_dir():
            yield f"{Path(folder) / entry.name}/"
        elif entry.name.endswith((".yaml", ".yml")):
            yield str(Path(folder) / entry.name)


@add_completion_class
class _Bash(BashComplete):
    """Like click's, without a space after a folder or a key, where completion continues."""

    source_template = BashComplete.source_template.replace(
        "COMPREPLY+=($value)", 'COMPREPLY+=("$value"); [[ $value == *[=/] ]] && compopt -o nospace'
    )
