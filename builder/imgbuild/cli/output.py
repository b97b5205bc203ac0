"""What every command has in common: `--format`, where its words go, and the exit code that an error becomes."""

from __future__ import annotations

import errno
import functools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import click
from rich.text import Text

from imgbuild.cli.interrupted import early, no_memory
from imgbuild.cli.terminal import Console, never_fail_to_encode
from imgbuild.diagnostics.errors import ImgbuildError
from imgbuild.diagnostics.findings import Findings, InvalidInput, findings_json, print_findings
from imgbuild.diagnostics.mask import mask
from imgbuild.diagnostics.progress import JsonSteps, PlainSteps, Steps, TerminalSteps

Command = Callable[..., Any]


class Says:
    """Output and error streams of one command: results to standard output, progress and findings to standard error."""

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


def ends_well(command: Command) -> Command:
    """Give a command its `--format`, and `Says` as its first argument; turn errors into messages and exit codes.

    1 input, 2 usage, 3 environment.
    """

    @functools.wraps(command)
    def run(*args: Any, form: str, **kwargs: Any) -> Any:
        says = Says(form)
        before = signal.getsignal(signal.SIGINT)
        try:
            if before is early:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            return command(says, *args, **kwargs)
        except InvalidInput as error:
            says.findings(error.findings, to_output=_is_check())
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

    return _last_option(_FORMAT, run)


_FORMAT = click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="For machines.")


def _last_option(option: Callable[[Command], Command], command: Command) -> Command:
    """The command with one more option, which its help lists last. click turns the list of parameters round."""
    command = option(command)
    parameters: list[click.Parameter] = command.__dict__["__click_params__"]
    parameters.insert(0, parameters.pop())
    return command


def _is_check() -> bool:
    """Whether findings are what the user asked for: `imgbuild check`."""
    context = click.get_current_context(silent=True)
    return context is not None and context.info_name == "check"
