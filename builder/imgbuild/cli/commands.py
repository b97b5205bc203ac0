"""The table of commands: each is a module of this package, imported when the command is called.

Imports take half the run time. A new command is a row here and a module with ``command`` in it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import click
from click.shell_completion import CompletionItem

from imgbuild.cli.output import unwritable, usage_error_events
from imgbuild.cli.parsing import Group, names_a_profile

COMMANDS = {
    "init": "Write a commented profile to start from.",
    "profiles": "List the profiles, layers and targets that imgbuild ships.",
    "check": "Report everything that is wrong with the input, and write nothing.",
    "explain": "Show what a key of a profile or a cluster file means, or a finding's code such as IB205.",
    "schema": "Print the JSON Schema of a profile, of a cluster file or of a lock, for editors.",
    "lock": "Pin everything that a profile needs from outside, in imgbuild.lock beside it.",
    "fetch": "Fetch what a profile and its lock pin by checksum, into the store: files, packages, container images.",
    "bundle": "Write, verify, unpack or push one file with everything that a profile needs.",
    "cache": "List, verify or prune what imgbuild keeps on this disk.",
    "images": "List the container images that the nodes pull, and where they are pulled from.",
    "plan": "Show what a build would fetch, build and take from the cache, and how long the last one took.",
    "diff": "Show how two profiles, or two output folders, differ.",
    "token": "Make a new bootstrap token and print its Secret for kubectl.",
    "export": "Write the nodes of a cluster as the files of a system that runs fleets.",
    "boot": "Boot the image in FOLDER, such as out/debian12-efi, in QEMU with the seed of a node.",
    "serve": "Boot machines over the network from FOLDER, such as out/debian12-efi, and show what they do.",
    "wait": "Wait until all nodes of a cluster file are Ready, or report which are not and why.",
    "iso": "Write the live root in FOLDER as an image for a CD or a USB disk.",
    "doctor": "Report what this host lacks for building and booting images.",
}
"""Name -> the first sentence of its help, which the list of commands shows without importing them."""


def load_command(name: str) -> click.Command:
    """The command in the file of that name."""
    command: click.Command = importlib.import_module(f"imgbuild.cli.{name}").command
    return command


class Commands(Group):
    """The group of these commands. It suggests a command where it is known what was meant."""

    def main(
        self, args: Sequence[str] | None = None, prog_name: str | None = None, *rest: Any, **more: Any
    ) -> Any:  # fmt: skip
        """As click does; but with --format json a usage error is an event too, and a full disk gives no traceback."""
        words = list(sys.argv[1:] if args is None else args)
        try:
            if not _wants_json(words):
                return super().main(words, prog_name, *rest, **more)
            try:
                code = super().main(words, prog_name, *rest, **{**more, "standalone_mode": False})
            except click.ClickException as error:
                usage_error_events(error)
                code = error.exit_code
        except OSError as error:  # a help text, the version or a usage error
            code = unwritable(error)
        return sys.exit(code if isinstance(code, int) else 0)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One command, imported now."""
        return load_command(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in the help, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments name."""
        name = args[0]
        if names_a_profile(name):
            ctx.fail(f"pass a profile with an option: imgbuild --profile {name}")
        if name not in COMMANDS:
            from imgbuild.config.layers import closest  # only for a mistake

            hint = closest(name, list(COMMANDS)) or "imgbuild --help lists them"
            ctx.fail(f'there is no command "{name}"; {hint}')
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names of commands, from the table alone, and options."""
        names = [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]
        return names + click.Command.shell_complete(self, ctx, incomplete)


def _wants_json(words: Sequence[str]) -> bool:
    """Whether the unparsed arguments have --format json."""
    return "--format=json" in words or ("--format", "json") in pairwise(words)
