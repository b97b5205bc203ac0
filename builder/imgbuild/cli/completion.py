"""Shell completion: names of profiles and layers, and the keys of a profile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

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
    return [CompletionItem(f"{key}=") for key, leaf in profile_keys() if leaf and key.startswith(incomplete)]


def keys_to_explain(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The profile's keys, sections too."""
    return [CompletionItem(key) for key, _ in profile_keys() if key.startswith(incomplete)]


def components_to_update(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What `imgbuild lock --update` can update; a version follows after an equals sign."""
    from imgbuild.config.lock import COMPONENTS  # pydantic takes 100 ms, and most completions do not need it

    return [CompletionItem(name) for name in (*COMPONENTS, "packages", "all") if name.startswith(incomplete)]


def profile_keys() -> Iterator[tuple[str, bool]]:
    """Every key of a profile with its own name, and whether it has a value rather than more keys."""
    from imgbuild.config.profile import Profile  # it takes 100 ms, and most completions do not need it

    yield from _keys(Profile, "")


def _keys(model: type[Any], above: str) -> Iterator[tuple[str, bool]]:
    for name, field in model.model_fields.items():
        kinds = (field.annotation, *get_args(field.annotation))  # a section, or a section or null
        section = next((kind for kind in kinds if hasattr(kind, "model_fields")), None)
        yield f"{above}{name}", section is None
        if section is not None:
            yield from _keys(section, f"{above}{name}.")


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
