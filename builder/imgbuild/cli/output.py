"""What every command has in common: `--format`, its streams, and the exit code that an error becomes.

As text, results go to standard output, progress and findings to standard error. As JSON, everything is one stream of
events on standard output, which docs/reference/json.md describes; the last one is the result with the exit code.
"""

from __future__ import annotations

import errno
import functools
import os
import signal
import sys
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO

import click

from imgbuild.cli.interrupted import early, end_programs, no_memory, status
from imgbuild.diagnostics.errors import ImgbuildError, InvalidInput
from imgbuild.diagnostics.jsonlines import json_line
from imgbuild.diagnostics.mask import mask

if TYPE_CHECKING:
    from imgbuild.cli.terminal import Console
    from imgbuild.diagnostics.findings import Findings
    from imgbuild.diagnostics.progress import Steps

Command = Callable[..., Any]


class Says:
    """The streams of one command. rich is imported when something is written: help and completion do without it."""

    def __init__(self, form: str) -> None:
        self.json = form == "json"
        _never_fail_to_encode()
        self._result: dict[str, object] = {}

    @cached_property
    def out(self) -> Console:
        """Standard output."""
        from imgbuild.cli.terminal import Console

        return Console()

    @cached_property
    def err(self) -> Console:
        """Standard error."""
        from imgbuild.cli.terminal import Console

        return Console(stderr=True)

    def event(self, event: str, **fields: object) -> None:
        """One line of the JSON form."""
        print(json_line(event, **fields), flush=True)

    def steps(self) -> Steps:
        """Progress in the requested format."""
        from imgbuild.diagnostics.progress import JsonSteps, PlainSteps, TerminalSteps

        if self.json:
            return JsonSteps(sys.stdout)
        return TerminalSteps(self.err) if self.err.is_terminal else PlainSteps(sys.stderr)

    def findings(self, findings: Findings) -> None:
        """All findings."""
        if self.json:
            from imgbuild.diagnostics.findings import arranged
            from imgbuild.diagnostics.jsonform import finding_json

            for finding in arranged(findings.items):
                self.event("finding", **finding_json(finding))
        elif findings.items:
            from imgbuild.diagnostics.text import print_findings

            print_findings(self.err, findings.items)

    def note(self, text: str) -> None:
        """One line in addition to the result."""
        if self.json:
            self.event("note", text=mask(text))
        else:
            from rich.text import Text

            self.err.print(Text(mask(text)))

    def error(self, error: ImgbuildError) -> None:
        """One error and its fix, in red on a terminal."""
        if self.json:
            self.event("error", message=mask(str(error)), hint=mask(error.hint))
            return
        from rich.text import Text

        self.err.print(Text.assemble(("error:", "bold red"), f" {mask(str(error))}"))
        for line in mask(error.hint).splitlines():
            self.err.print(Text.assemble("  ", ("fix:", "green"), f" {line}"))

    def result(self, **fields: object) -> None:
        """Fields of the last event of the JSON form."""
        self._result |= fields

    def end(self, command: str, exit_code: int) -> None:
        """The last event."""
        if self.json:
            self.event("result", command=command, exit_code=exit_code, **self._result)


def ends_well(command: Command) -> Command:
    """Give a command its `--format`, and ``Says`` as its first argument; turn errors into messages and exit codes.

    The command returns its exit code, or None for 0. Errors: 1 input, 2 usage, 3 environment; 128 and its number for a
    signal.
    """

    @functools.wraps(command)
    def run(*args: Any, form: str, **kwargs: Any) -> None:
        context = click.get_current_context()
        says = Says(form)
        before = signal.getsignal(signal.SIGINT)
        try:
            if before is early:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                code = command(says, *args, **kwargs) or 0
            except (InvalidInput, ImgbuildError, KeyboardInterrupt, OSError) as error:
                if isinstance(error, BrokenPipeError):
                    raise
                if before is early and isinstance(error, KeyboardInterrupt):
                    end_programs()  # a thread can have started one meanwhile
                code = _told(error, says)
            if context.invoked_subcommand is None:
                says.end(command_name(context), code)
        except BrokenPipeError:
            _discard(sys.stdout)  # the reader has closed the pipe (imgbuild ... | head): nothing to report
            code = 3
        except OSError as error:
            code = unwritable(error)
        except MemoryError:
            no_memory()
        finally:
            if before is early:
                signal.signal(signal.SIGINT, early)
        if code:
            sys.exit(code)

    return _last_option(_FORMAT, run)


_NO_LOCKS = "name a folder on a file system with locks: a local disk, or NFS of version 4 or with its lock service"
_FIXES = {
    errno.ENOLCK: _NO_LOCKS,
    errno.EOPNOTSUPP: _NO_LOCKS,
    errno.EACCES: "run imgbuild as a user who may do that, or name a file or folder of your own",
    errno.EPERM: "run imgbuild as a user who may do that, or name a file or folder of your own",
    errno.EROFS: "name a folder on another file system: this one is mounted read-only",
    errno.ENOSPC: "free some space on that disk, or name a folder on a larger one",
    errno.EDQUOT: "free some of your space on that disk, or name a folder on another one",
    errno.EMFILE: "raise the limit of open files: ulimit -n 4096",
}
_OTHER = "run it again; if that does not help, look for the disk's errors in the output of dmesg"


def _never_fail_to_encode() -> None:
    """A terminal that cannot show a character (LC_ALL=C) gets its number, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def unwritable(error: OSError) -> int:
    """Report that an output cannot be written, if standard error takes the message; return the exit code."""
    try:
        code = _told(error, Says("text"))
        sys.stderr.flush()
    except OSError:
        code = 3
        _discard(sys.stderr)
    _discard(sys.stdout)
    return code


def _discard(stream: TextIO) -> None:
    """Prevent Python from flushing what a stream cannot take."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _told(error: BaseException, says: Says) -> int:
    """Report what ended the command; return its exit code."""
    if isinstance(error, InvalidInput):
        says.findings(error.findings)
        return error.exit_code
    if isinstance(error, ImgbuildError):
        says.error(error)
        return error.exit_code
    if isinstance(error, OSError):
        if error.errno == errno.ENOMEM:
            no_memory()
        unlocked = "cannot lock a file: " if _FIXES.get(error.errno or 0) is _NO_LOCKS else ""
        where = f"{error.filename}: " if error.filename else unlocked or "cannot write the output: "
        says.error(ImgbuildError(f"{where}{error.strerror or error}", _FIXES.get(error.errno or 0, _OTHER)))
    else:
        says.error(ImgbuildError("interrupted", "run it again; what was there before is unchanged"))
        return status()
    return 3


def command_name(context: click.Context | None) -> str:
    """The command's name in its result: "build" for imgbuild without a command."""
    return "build" if context is None or context.parent is None else str(context.info_name)


def usage_error_events(error: click.ClickException) -> None:
    """click's errors about the command line, as JSON events."""
    context = getattr(error, "ctx", None)
    says = Says("json")
    hint = f"list the options with {context.command_path} --help" if context is not None else ""
    says.error(ImgbuildError(error.format_message(), hint))
    says.end(command_name(context), error.exit_code)


_FORMAT = click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True,
    help="Output format. json: everything as JSON, one object per line, on standard output.",
)  # fmt: skip


def _last_option(option: Callable[[Command], Command], command: Command) -> Command:
    """The command with one more option, which its help lists last. click reverses the list of parameters."""
    command = option(command)
    parameters: list[click.Parameter] = command.__dict__["__click_params__"]
    parameters.insert(0, parameters.pop())
    return command
