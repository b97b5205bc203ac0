"""Options that several commands share, declared once. Their values arrive as one `Given`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from imgbuild.cli.completion import keys_to_set, layer_names, profile_names
from imgbuild.config.shipped import PROFILE_NAME, shipped

if TYPE_CHECKING:
    from imgbuild.pipeline import Request

Command = Callable[..., Any]


class Place(click.Path):
    """A path that is not empty: `--output "$UNSET"` must not mean the current folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; a usage error for an empty one."""
        if value == "":
            self.fail("must not be empty", param, ctx)
        return super().convert(value, param, ctx)


@dataclass(frozen=True)
class Given:
    """The values of the shared options: which profile, what is applied on top of it, for which cluster."""

    profile: str | None
    layers: Sequence[str] = ()
    sets: Sequence[str] = ()
    mode: str | None = None
    cluster: Path | None = None
    secrets: Path | None = None
    lock: bool = True

    def request(self, name: str | None = None) -> Request:
        """The same for the pipeline, which is imported only now: that takes half the run time.

        ``name`` is the output folder's, if it is not the profile's.

        Raises:
            click.UsageError: no profile was named.
        """
        if self.profile is None:
            raise click.UsageError(f"--profile is missing; imgbuild ships {', '.join(shipped('profiles'))}")
        from imgbuild.pipeline import Request

        return Request(
            self.profile, self.layers, self.sets, self.mode, self.cluster, self.secrets, name=name, lock=self.lock
        )


def layer_option(text: str) -> Callable[[Command], Command]:
    """`--layer`, repeatable; ``text`` is its help."""
    return click.option(
        "--layer", "-l", "layers", metavar="NAME|FILE", multiple=True, shell_complete=layer_names, help=text
    )


_PROFILE = (
    layer_option("Apply this layer on top of the profile (repeatable; later ones win)."),
    click.option(
        "--set", "sets", metavar="KEY=VALUE", multiple=True, shell_complete=keys_to_set,
        help="Set one key of the profile; VALUE is YAML (repeatable).",
    ),
    click.option(
        "--mode", type=click.Choice(["baked", "stock"]),
        help="baked: everything is installed in the image; stock: a vanilla cloud image installs it at first boot.",
    ),
)  # fmt: skip
_LOCK = click.option("--no-lock", is_flag=True, help="Do not use imgbuild.lock, the pins beside the profile.")
_CLUSTER = (
    click.option("--cluster", metavar="FILE", type=Place(), help="The cluster file, which lists the nodes."),
    click.option(
        "--secrets", metavar="FILE", type=Place(),
        help="The cluster's keys and token; a build creates the file if it is missing. "
        "Default: beside the cluster file.",
    ),
)  # fmt: skip


def input_options(*, required: bool = True, cluster: bool = True, lock: bool = True) -> Callable[[Command], Command]:
    """The options that select the profile and, with ``cluster``, the nodes; the command gets them as ``given``.

    ``lock``: whether `--no-lock` is among them.
    """
    profile = click.option(
        "--profile", "-p", metavar="NAME|FILE", required=required, shell_complete=profile_names,
        help="The profile: the name of a shipped one, or a YAML file.",
    )  # fmt: skip

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(
            *args: Any,
            profile: str | None,
            layers: Sequence[str],
            sets: Sequence[str],
            mode: str | None,
            cluster: Path | None = None,
            secrets: Path | None = None,
            no_lock: bool = False,
            **kwargs: Any,
        ) -> Any:
            given = Given(profile, layers, sets, mode, cluster, secrets, not no_lock)
            return command(*args, given=given, **kwargs)

        more = (*_PROFILE, *([_LOCK] if lock else []), *(_CLUSTER if cluster else ()))
        for option in reversed((profile, *more)):
            run = option(run)
        return run

    return decorate


class _StorePlace(click.ParamType[str]):
    """A folder, or the address of a repository."""

    name = "DIR|oci://HOST/PATH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text; a usage error for an empty one."""
        if value == "":
            self.fail("must not be empty", param, ctx)
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Folders."""
        return [CompletionItem(incomplete, type="dir")]


def store_option(command: Command) -> Command:
    """`--store`, the place of fetched files."""
    return click.option(
        "--store", metavar="DIR|oci://HOST/PATH", type=_StorePlace(),
        help="The store of fetched files, which runs and machines can share: a folder, by default in the cache, or a "
        "repository of a registry.",
    )(command)  # fmt: skip


def output_option(text: str) -> Callable[[Command], Command]:
    """`--output`, the folder that has a folder for each profile; ``text`` is its help."""
    return click.option(
        "--output", "-o", metavar="DIR", type=Place(), default=Path("out"), show_default=True, help=text
    )


def name_option(command: Command) -> Command:
    """`--name`, the folder in --output."""
    text = "Name of the folder in --output, and of the disk image. Default: the profile's."
    return click.option("--name", metavar="NAME", callback=_folder_name, help=text)(command)


def _folder_name(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not PROFILE_NAME.fullmatch(value):
        raise click.BadParameter(
            f"{value!r} is not a valid folder name: use up to 61 letters, digits, dots, dashes and underscores, "
            "starting with a letter or a digit",
            context,
            parameter,
        )
    return value
