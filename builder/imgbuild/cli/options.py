"""Options that several commands have, declared once. What they give arrives as one `Given`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imgbuild.config.layers import shipped

if TYPE_CHECKING:
    from imgbuild.pipeline import Request

Command = Callable[..., Any]


class Place(click.Path):
    """A path that says something: `--output "$UNSET"` is not the folder one happens to stand in."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; a usage error for an empty one."""
        if value == "":
            self.fail("it is empty", param, ctx)
        return super().convert(value, param, ctx)


@dataclass(frozen=True)
class Given:
    """What the shared options gave: which profile, what is laid over it, for which cluster."""

    profile: str | None
    layers: Sequence[str] = ()
    sets: Sequence[str] = ()
    mode: str | None = None
    cluster: Path | None = None
    secrets: Path | None = None

    def request(self) -> Request:
        """The same for the pipeline, which is imported only now: that takes half of a run.

        Raises:
            click.UsageError: no profile was named.
        """
        if self.profile is None:
            raise click.UsageError(f"--profile is missing; imgbuild ships {', '.join(shipped('profiles'))}")
        from imgbuild.pipeline import Request

        return Request(self.profile, self.layers, self.sets, self.mode, self.cluster, self.secrets)


_PROFILE = (
    click.option("--layer", "-l", "layers", metavar="NAME|FILE", multiple=True, help="Lay this over it."),
    click.option("--set", "sets", metavar="KEY=VALUE", multiple=True, help="Set one value (YAML)."),
    click.option("--mode", type=click.Choice(["baked", "stock"]), help="Image with all in it, or plain image."),
)
_CLUSTER = (
    click.option("--cluster", metavar="FILE", type=Place(), help="The cluster's nodes."),
    click.option(
        "--secrets", metavar="FILE", type=Place(),
        help="The cluster's keys; made if not there. By default beside the cluster file.",
    ),
)  # fmt: skip


def input_options(*, required: bool = True, cluster: bool = True) -> Callable[[Command], Command]:
    """The options that say which profile and, with ``cluster``, which nodes; the command gets them as ``given``."""
    profile = click.option("--profile", "-p", metavar="NAME|FILE", required=required, help="What to build.")

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
            **kwargs: Any,
        ) -> Any:
            return command(*args, given=Given(profile, layers, sets, mode, cluster, secrets), **kwargs)

        for option in reversed((profile, *_PROFILE, *(_CLUSTER if cluster else ()))):
            run = option(run)
        return run

    return decorate


def output_option(text: str) -> Callable[[Command], Command]:
    """`--output`, the folder that holds a folder for each profile; ``text`` says what for."""
    return click.option("--output", "-o", type=Place(), default=Path("out"), show_default=True, help=text)
