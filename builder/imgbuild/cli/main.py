"""The command line. No logic here: it reads words, calls one function each, and turns errors into exit codes.

What a command needs is imported inside it: half of a run is importing, and Ctrl-C must find us ready even then.
"""

from __future__ import annotations

import errno
import functools
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click
from click.core import ParameterSource
from rich.text import Text

from imgbuild import __version__
from imgbuild.cli.start import early, no_memory
from imgbuild.cli.terminal import Console, never_fail_to_encode
from imgbuild.config.layers import shipped
from imgbuild.diagnostics.errors import ImgbuildError
from imgbuild.diagnostics.findings import Findings, InvalidInput, findings_json, print_findings
from imgbuild.diagnostics.mask import mask
from imgbuild.diagnostics.progress import JsonSteps, PlainSteps, Steps, TerminalSteps

Command = Callable[..., Any]


class Says:
    """Where words go: results to standard output, progress and findings to standard error."""

    def __init__(self, form: str) -> None:
        self.json = form == "json"
        never_fail_to_encode()
        self.out = Console()
        self.err = Console(stderr=True)

    def steps(self) -> Steps:
        """Progress in the form asked for."""
        if self.json:
            return JsonSteps(sys.stderr)
        return TerminalSteps(self.err) if self.err.is_terminal else PlainSteps(sys.stderr)

    def findings(self, findings: Findings, *, to_output: bool = False) -> None:
        """All findings; as JSON they are the command's output only where findings are what was asked for."""
        if self.json:
            print(findings_json(findings.items), file=sys.stdout if to_output else sys.stderr)
        elif findings.items:
            print_findings(self.err, findings.items)

    def error(self, error: ImgbuildError) -> None:
        """One error and its fix, in red on a terminal."""
        self.err.print(Text.assemble(("error:", "bold red"), f" {mask(str(error))}"))
        for line in mask(error.hint).splitlines():
            self.err.print(Text.assemble("  ", ("fix:", "green"), f" {line}"))


class Place(click.Path):
    """A path that says something: `--output "$UNSET"` is not the folder one happens to stand in."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; a usage error for an empty one."""
        if value == "":
            self.fail("it is empty", param, ctx)
        return super().convert(value, param, ctx)


class Commands(click.Group):
    """Says more than "no such command" where it is known what was meant."""

    later = ("lock", "fetch", "bundle", "serve")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the words name."""
        name = args[0]
        if name in self.later:
            ctx.fail(f"`imgbuild {name}` comes with a later release; this one has {', '.join(self.commands)}")
        if name in shipped("profiles") or name.endswith((".yaml", ".yml")):
            ctx.fail(f"a profile is named by an option: imgbuild --profile {name}")
        return super().resolve_command(ctx, args)


def input_options(required: bool) -> Callable[[Command], Command]:
    """The options that say which profile, the same for every command."""

    def decorate(command: Command) -> Command:
        options = [
            click.option("--profile", "-p", metavar="NAME|FILE", required=required, help="What to build."),
            click.option("--layer", "-l", "layers", metavar="NAME|FILE", multiple=True, help="Lay this over it."),
            click.option("--set", "sets", metavar="KEY=VALUE", multiple=True, help="Set one value (YAML)."),
            click.option("--mode", type=click.Choice(["baked", "stock"]), help="Image with all in it, or plain image."),
            click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="For machines."),
        ]
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def cluster_options(command: Command) -> Command:
    """The options that say which nodes there are."""
    where = "The cluster's keys; made if not there. By default beside the cluster file."
    command = click.option("--secrets", metavar="FILE", type=Place(), help=where)(command)
    return click.option("--cluster", metavar="FILE", type=Place(), help="The cluster's nodes.")(command)


def ends_well(command: Command) -> Command:
    """Turn errors into messages and exit codes: 1 input, 2 usage, 3 environment."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        says = Says(kwargs.get("form", "text"))
        before = signal.getsignal(signal.SIGINT)
        try:
            if before is early:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            return command(*args, **kwargs)
        except InvalidInput as error:
            says.findings(error.findings, to_output=context_is_check())
            sys.exit(error.exit_code)
        except ImgbuildError as error:
            says.error(error)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            says.error(ImgbuildError("interrupted", "what was there before is as it was; run it again"))
            sys.exit(3)
        except MemoryError:
            no_memory()
        except BrokenPipeError:
            # The reader has gone (imgbuild ... | head): nothing to tell, and Python must not try to flush either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(3)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else "cannot write the output: "
            if error.errno == errno.ENOMEM:
                no_memory()
            says.error(ImgbuildError(f"{where}{error.strerror or error}", "mend that and run it again"))
            sys.exit(3)
        finally:
            if before is early:
                signal.signal(signal.SIGINT, early)

    return run


def context_is_check() -> bool:
    """Whether findings are what the user asked for: `imgbuild check`."""
    context = click.get_current_context(silent=True)
    return context is not None and context.info_name == "check"


def cache_dir() -> Path:
    """IMGBUILD_CACHE, else imgbuild/ in the user's cache folder (XDG base directory specification)."""
    own = os.environ.get("IMGBUILD_CACHE")
    if own:
        return Path(own)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "imgbuild"
    except RuntimeError:  # no HOME, and no such user in /etc/passwd
        return Path.cwd() / ".cache/imgbuild"


@click.group(cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@input_options(required=False)
@cluster_options
@click.option("--output", "-o", type=Place(), default=Path("out"), show_default=True,
              help="The result goes to a folder in it, named after the profile.")  # fmt: skip
@click.option("--no-image", is_flag=True, help="Seeds, cloud, PXE and elements only: no root, no network.")
@click.option("--fresh", is_flag=True, help="Build everything again, whatever the cache holds.")
@click.version_option(__version__, prog_name="imgbuild")
@click.pass_context
@ends_well
def main(
    context: click.Context,
    profile: str | None,
    layers: tuple[str, ...],
    sets: tuple[str, ...],
    cluster: Path | None,
    secrets: Path | None,
    mode: str | None,
    form: str,
    output: Path,
    no_image: bool,
    fresh: bool,
) -> None:
    """Bake a Kubernetes node: disk image, seed ISO, PXE files and cloud user-data from one profile.

    \b
    imgbuild --profile centos7-efi              everything
    imgbuild --profile centos7-efi --no-image   what needs no root
    """
    if context.invoked_subcommand is not None:
        if any(context.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in context.params):
            raise click.UsageError(f"put the options behind the command: imgbuild {context.invoked_subcommand} …")
        return
    if profile is None:
        raise click.UsageError(f"--profile is missing; imgbuild ships {', '.join(shipped('profiles'))}")
    from imgbuild.pipeline import Request, prepare, write

    says = Says(form)
    findings = Findings()
    ready = prepare(Request(profile, layers, sets, mode, cluster, secrets), findings)
    says.findings(findings)
    place = write(ready, output, says.steps(), image=not no_image, cache=cache_dir(), fresh=fresh)
    says.out.print(str(place))


@main.command()
@ends_well
def profiles() -> None:
    """List the profiles, layers and targets that imgbuild ships."""
    for kind in ("profiles", "layers", "targets"):
        click.echo(f"{kind}: {', '.join(shipped(kind))}")


@main.command(name="check")
@input_options(required=True)
@cluster_options
@ends_well
def check_command(
    profile: str,
    layers: tuple[str, ...],
    sets: tuple[str, ...],
    cluster: Path | None,
    secrets: Path | None,
    mode: str | None,
    form: str,
) -> None:
    """Say everything that is wrong with the input, and write nothing."""
    from imgbuild.pipeline import Request, prepare

    says = Says(form)
    findings = Findings()
    prepare(Request(profile, layers, sets, mode, cluster, secrets), findings)
    says.findings(findings, to_output=True)
    if not findings.items and not says.json:
        says.out.print("no findings")


@main.command(name="explain")
@click.argument("key")
@input_options(required=True)
@ends_well
def explain_command(
    key: str,
    profile: str,
    layers: tuple[str, ...],
    sets: tuple[str, ...],
    mode: str | None,
    form: str,
) -> None:
    """Say what KEY is and which file and line set it, each that did."""
    from imgbuild.cli.compare import explain
    from imgbuild.pipeline import Request

    findings = Findings()
    for line in explain(Request(profile, layers, sets, mode), key, findings):
        click.echo(line)
    if findings.errors:
        raise InvalidInput(findings)


@main.command(name="images")
@input_options(required=True)
@cluster_options
@click.option("--names", is_flag=True, help="Print the names only, one a line, for other tools.")
@click.option(
    "--digests", is_flag=True, help="Ask the registries for each image's digest (needs skopeo and a network)."
)
@ends_well
def images_command(
    profile: str,
    layers: tuple[str, ...],
    sets: tuple[str, ...],
    cluster: Path | None,
    secrets: Path | None,
    mode: str | None,
    form: str,
    names: bool,
    digests: bool,
) -> None:
    """List the container images that the nodes pull, with the addresses at which they are asked for."""
    from imgbuild.cli.images import listed, notes, print_lines, with_digests
    from imgbuild.pipeline import Request, prepare

    if names and form == "json":
        raise click.UsageError("--names and --format json exclude each other")
    says = Says(form)
    ready = prepare(Request(profile, layers, sets, mode, cluster, secrets), Findings())
    lines = listed([ready.resolved, *(own.resolved for own in ready.own)], ready.cluster)
    if digests:
        lines = with_digests(lines, says.steps())
    print_lines(says.out, lines, notes(ready.resolved), form="names" if names else form)
    sys.exit(3 if any(line.problem for line in lines) else 0)


@main.command(name="diff")
@click.argument("a")
@click.argument("b")
@click.option("--layer", "-l", "layers", metavar="NAME|FILE", multiple=True, help="Lay this over both.")
@click.option("--mode", type=click.Choice(["baked", "stock"]))
@ends_well
def diff_command(a: str, b: str, layers: tuple[str, ...], mode: str | None) -> None:
    """Show how the node files of two profiles differ. Secrets are never shown."""
    from imgbuild.cli.compare import unified
    from imgbuild.pipeline import Request

    for line in unified(Request(a, layers, (), mode), Request(b, layers, (), mode)):
        click.echo(line)


@main.command(name="token")
@input_options(required=False)
@cluster_options
@click.option("--keep", is_flag=True, help="Print the Secret of the token that the file has; make no new one.")
@click.option("--render", is_flag=True, help="Write the seeds with it too; needs the options of the build.")
@click.option("--output", "-o", type=Place(), default=Path("out"), show_default=True,
              help="With --render: the folder of the build.")  # fmt: skip
@ends_well
def token_command(
    profile: str | None,
    layers: tuple[str, ...],
    sets: tuple[str, ...],
    cluster: Path | None,
    secrets: Path | None,
    mode: str | None,
    form: str,
    keep: bool,
    render: bool,
    output: Path,
) -> None:
    """Make a new bootstrap token, and print the Secret that tells the cluster.

    \b
    imgbuild token --cluster lab.yaml | kubectl apply -f -
    imgbuild token --cluster lab.yaml --render --profile debian12-efi | kubectl apply -f -
    """
    if cluster is None:
        raise click.UsageError("--cluster is missing: the token is that of a cluster")
    if render != (profile is not None):
        what = "--render needs --profile: which seeds" if render else "--profile without --render: nothing is built"
        raise click.UsageError(what)
    from imgbuild.cli.token import renew, renew_seeds
    from imgbuild.facts.bootstrap_token import secret_document, secret_name, secret_text
    from imgbuild.pipeline import Request

    says = Says(form)
    findings = Findings()
    if profile is None:
        made = renew(cluster, secrets, findings, keep=keep)
    else:
        request = Request(profile, layers, sets, mode, cluster, secrets)
        made = renew_seeds(request, output, says.steps(), findings, keep=keep)
    says.findings(findings)
    click.echo(json.dumps(secret_document(made.now), indent=2) if says.json else secret_text(made.now), nl=says.json)
    if made.now != made.before and not says.json:
        old, end = secret_name(made.before.bootstrap_token), made.before.bootstrap_token_expires
        says.err.print(
            f"{made.path} has the new token; the cluster takes it once it has this Secret (kubectl apply -f).\n"
            f"It takes the old one until {end}, or until: kubectl -n kube-system delete secret {old}"
        )


@main.command()
@click.argument("folder", type=Place())
@click.option("--check", is_flag=True, help="End with 0 only if every check in the guest passes.")
@click.option("--node", metavar="NAME", help="Whose seed it boots with; by default the first.")
@click.option("--mixed", is_flag=True, help="Boot even if image and seeds are of different runs.")
@click.option("--seconds", type=click.IntRange(10, 7200), default=600, show_default=True, help="Give up after.")
@click.option("--memory", type=click.IntRange(512, 65536), default=2048, show_default=True, help="MiB.")
@click.option("--accel", type=click.Choice(["tcg", "kvm"]), default="tcg", show_default=True)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
@ends_well
def boot(
    folder: Path,
    check: bool,
    node: str | None,
    mixed: bool,
    seconds: int,
    memory: int,
    accel: Literal["tcg", "kvm"],
    form: str,
) -> None:
    """Boot the image in FOLDER (such as out/debian12-efi) in QEMU with its seed."""
    from imgbuild.cli.boot import boot_folder

    says = Says(form)
    ok = boot_folder(
        folder,
        says.steps(),
        says.out,
        check=check,
        node=node,
        mixed_runs=mixed,
        seconds=seconds,
        memory_mib=memory,
        accel=accel,
        as_json=says.json,
    )
    sys.exit(0 if ok else 3)


@main.command()
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
@ends_well
def doctor(form: str) -> None:
    """Say what this host has and lacks for building and booting images."""
    from imgbuild.cli.doctor import examine, print_rows

    says = Says(form)
    rows = examine(cache_dir())
    print_rows(says.out, rows, as_json=says.json)
    sys.exit(0 if all(row.ok for row in rows) else 3)
