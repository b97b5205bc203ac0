"""The table of commands: each is a file of this package, which is imported when that command is called.

Imports take half the run time. A new command is a row here and a file with ``command`` in it.
"""

from __future__ import annotations

import importlib

import click

from imgbuild.config.layers import shipped

COMMANDS = {
    "profiles": "List the profiles, layers and targets that imgbuild ships.",
    "check": "Say everything that is wrong with the input, and write nothing.",
    "explain": "Show what KEY means.",
    "schema": "Print the JSON Schema of a profile or of a cluster file, for editors.",
    "images": "List the container images that the nodes pull, with the addresses at which they are asked for.",
    "diff": "Show how the node files of two profiles differ.",
    "token": "Make a new bootstrap token, and print the Secret that tells the cluster.",
    "boot": "Boot the image in FOLDER (such as out/debian12-efi) in QEMU with its seed.",
    "doctor": "Say what this host has and lacks for building and booting images.",
}
"""Name -> the first sentence of its help, which the list of commands shows without importing them."""
LATER = ("lock", "fetch", "bundle", "serve")


def load_command(name: str) -> click.Command:
    """The command in the file of that name."""
    command: click.Command = importlib.import_module(f"imgbuild.cli.{name}").command
    return command


class Commands(click.Group):
    """The group of these commands. It says more than "no such command" where it is known what was meant."""

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
        """The command that the words name."""
        name = args[0]
        if name in LATER:
            ctx.fail(f"`imgbuild {name}` comes with a later release; this one has {', '.join(COMMANDS)}")
        if name in shipped("profiles") or name.endswith((".yaml", ".yml")):
            ctx.fail(f"a profile is named by an option: imgbuild --profile {name}")
        return super().resolve_command(ctx, args)
