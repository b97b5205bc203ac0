"""Stricter than click: no option loses a value silently, and a profile without its option gets a helpful answer."""

from __future__ import annotations

from collections import Counter

import click

from imgbuild.config.shipped import shipped


class Command(click.Command):
    """A command whose single-valued options can be given once."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; a usage error for a repeated option, and for a profile without --profile."""
        if not ctx.resilient_parsing:
            _refuse(self, ctx, args)
        return super().parse_args(ctx, args)


class Group(click.Group):
    """The same for a group."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; a usage error for a repeated option."""
        if not ctx.resilient_parsing:
            _refuse(self, ctx, args)
        return super().parse_args(ctx, args)


def names_a_profile(word: str) -> bool:
    """Whether a word looks like a value for --profile."""
    return word.endswith((".yaml", ".yml")) or word in shipped("profiles")


def _refuse(command: click.Command, ctx: click.Context, args: list[str]) -> None:
    """Raise click.UsageError for arguments that click would drop or explain badly."""
    given, words, order = command.make_parser(ctx).parse_args(args=list(args))
    for parameter, times in Counter(order).items():
        if isinstance(parameter, click.Option) and not parameter.multiple and not parameter.is_flag and times > 1:
            name = max(parameter.opts, key=len)
            fix = "; run imgbuild once for each profile" if name == "--profile" else ""
            raise click.UsageError(f"{name} is given {times} times, but only one value is used{fix}", ctx)
    names = {parameter.name for parameter in command.params}
    if isinstance(command, click.Group) or "profile" not in names or given.get("profile") is not None:
        return
    arguments = [parameter for parameter in command.params if isinstance(parameter, click.Argument)]
    placed = [given.get(str(argument.name)) for argument in arguments]
    # `imgbuild init node.yaml` is right: an argument counts as a profile if it is shipped, or one too many.
    told = [*words, *(word for word in placed if words or word in shipped("profiles"))]
    for word in told:
        if isinstance(word, str) and names_a_profile(word):
            call = " ".join([ctx.command_path, *(str(a.name).upper() for a in arguments if a.required)])
            raise click.UsageError(f"pass a profile with an option: {call} --profile {word}", ctx)
