"""Boot one machine, watch it, read its report, keep the evidence, and shut it down."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from imgbuild.diagnostics.errors import HostError
from imgbuild.diagnostics.progress import Steps
from imgbuild.machine.process import Machine, running
from imgbuild.machine.report import Lines, Message, ReportError, parse_plot, parse_verify
from imgbuild.machine.result import BootResult, result_json
from imgbuild.machine.serial import Console, Milestone, open_log
from imgbuild.machine.spec import MachineSpec
from imgbuild.machine.stay import Stay, answering, interrupts
from imgbuild.machine.text import as_text, printable
from imgbuild.machine.times import Times, draw, parse_times
from imgbuild.machine.verdict import Check, host_checks, missing_checks

PLOT_SECONDS = 60.0
"""How long to wait for the boot plot after the checks: it is drawn after them, slowly under emulation."""
_WAITING_SECONDS = 30.0
_RESETS_SECONDS = 1.5
_LAST_WORDS_SECONDS = 1.0  # output of a kernel after the line that reports its panic

Until = Callable[[Sequence[Message]], bool]
_Start = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


def boot(
    spec: MachineSpec,
    steps: Steps,
    output_dir: Path,
    *,
    check: bool,
    required: frozenset[str] = frozenset(),
    expected: Mapping[str, str] | None = None,
    until: Until | None = None,
    seconds: float = 600.0,
    powerdown_seconds: float = 120.0,
    temp: Path | None = None,
    stay: Stay | None = None,
) -> BootResult:
    """Boot ``spec`` and end it, whatever happens.

    With ``check`` the boot is over when the guest has sent its ``verify`` report and its plot (or, with ``until``,
    when that is true of what the guest has sent); without, when there is a login prompt or a report. ``required``
    are the names of checks without which the report counts as failed; ``expected`` is compared on this side
    (checks.host_checks). ``seconds`` is the limit of the whole boot without the shutdown, for which the guest has
    ``powerdown_seconds`` before it is ended.

    ``output_dir`` (created if necessary, 0700) gets console.log, screenshot.png, boot-plot.svg and checks.json.
    With ``stay`` the guest runs on once its SSH server answers, until Ctrl-C, its own shutdown or a time limit.

    ``temp`` has the overlay during the boot: up to some GiB.

    Call it from the main thread (process._die_with_parent explains why) and outside of any event loop.

    Raises:
        HostError: the host lacks something. Errors of the guest are in the result.
    """
    output_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("console.log", "screenshot.png", "boot-plot.svg", "checks.json"):
        (output_dir / name).unlink(missing_ok=True)
    with contextlib.suppress(_NotOkError), steps.step(f"Boot {spec.disk.name} ({spec.firmware.upper()}, {spec.accel})"):
        run = _Run(steps, output_dir, check, until, stay)
        try:
            result = asyncio.run(run.boot(spec, seconds, powerdown_seconds, temp))
        except OSError as error:
            hint = f"make {output_dir} and the folder for temporary files (TMPDIR) writable, with some GiB free"
            raise HostError(f"cannot store the machine's output: {error}", hint) from error
        checks = result.checks
        if check and run.report is not None:
            extra = host_checks(run.report.body, checks, expected or {})
            checks = (*checks, *extra, *missing_checks(checks, required))
        path = output_dir / "checks.json"
        result = replace(result, checks=checks, files={**result.files, "checks": path})
        path.write_text(result_json(result), encoding="utf-8")
        if not result.ok:
            raise _NotOkError
    return result


class _NotOkError(Exception):
    """Show the step as failed; the cause is in the result."""


class _Run:
    """The state of one boot: filled from console, port and QMP, read when it is over."""

    def __init__(self, steps: Steps, output: Path, check: bool, until: Until | None, stay: Stay | None) -> None:
        self.report: Message | None = None
        """The newest ``verify`` message."""
        self._steps, self._output, self._check, self._until = steps, output, check, until
        self._log = open_log(output / "console.log")
        self._console = Console(self._log, self._milestone)
        self._lines = Lines()
        self._messages: list[Message] = []
        self._milestones: list[Milestone] = []
        self._files = {"console": output / "console.log"}
        self._checks: tuple[Check, ...] = ()
        self._times: Times | None = None
        self._problem = ""
        self._boots = 1
        self._reset_at = float("-inf")
        self._stay = stay
        self._answers = asyncio.Event()
        """The guest's SSH server answers; set only with ``stay``."""
        self._over = asyncio.Event()
        self._plot = asyncio.Event()
        """The plot is there, or can no longer come."""
        self._shut_down = asyncio.Event()

    async def boot(self, spec: MachineSpec, seconds: float, powerdown_seconds: float, temp: Path | None) -> BootResult:
        powered_off = False
        try:
            async with running(spec, temp=temp) as machine, _tasks(self._over.set) as start:
                ends = [start(self._read_console(machine)), start(self._read_report(machine))]
                start(self._follow_events(machine))
                start(self._say_waiting())
                await asyncio.sleep(0)  # the event listener must exist before the machine runs
                begun = time.monotonic()
                self._console.begin()
                await machine.qmp("cont")
                gone = start(self._wait_gone(machine, ends))
                if self._stay is not None:
                    with interrupts(self._over.set):
                        start(self._knock(machine))
                        await self._wait_stayed(seconds, self._stay)
                else:
                    await self._wait_over(seconds)
                took = round(time.monotonic() - begun, 1)
                if machine.returncode is None:
                    await self._screenshot(machine)
                    if not self._problem:
                        powered_off = await self._power_down(machine, gone, powerdown_seconds)
        finally:
            self._log.close()
        return BootResult(
            checked=self._check,
            checks=self._checks,
            times=self._times,
            problem=self._problem,
            console_tail=tuple(self._console.tail()) if self._problem else (),
            milestones=tuple(self._milestones),
            messages=tuple(self._messages),
            seconds=took,
            boots=self._boots,
            powered_off=powered_off,
            files=self._files,
        )

    async def _wait_over(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
                if self._check and self._until is None and not self._problem:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._plot.wait(), PLOT_SECONDS)
        except TimeoutError:
            if not self._over.is_set():
                last = self._milestones[-1].name if self._milestones else "nothing on its console"
                what = "no report from the guest" if self.report is None else "the guest was not done"
                self._fail(f"{what} within {seconds:.0f} s; it got as far as: {last}")
        if self._check and not self._problem and "plot" not in self._files:
            self._steps.note("the guest sent no boot plot")

    async def _knock(self, machine: Machine) -> None:
        """Wait until an SSH server answers: QEMU itself accepts every connection."""
        port = await machine.forwarded_port()
        await answering(port)
        if self._stay is not None:
            self._stay.ready(port)
        self._answers.set()

    async def _wait_stayed(self, seconds: float, stay: Stay) -> None:
        """Until the SSH server answers, and then as long as the guest may stay."""
        over = asyncio.ensure_future(self._over.wait())
        answers = asyncio.ensure_future(self._answers.wait())
        try:
            await asyncio.wait((over, answers), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if not self._answers.is_set():
                ended = "before it was ended" if self._over.is_set() else f"within {seconds:.0f} s"
                last = self._milestones[-1].name if self._milestones else "nothing on its console"
                self._fail(f"the guest's SSH server did not answer {ended}; it got as far as: {last}")
                return
            await asyncio.wait((over,), timeout=stay.seconds)
            if not self._over.is_set():
                self._steps.note(f"the time limit of {stay.seconds:.0f} s is over")
                self._over.set()
        finally:
            over.cancel()
            answers.cancel()

    async def _wait_gone(self, machine: Machine, ends: Sequence[asyncio.Task[None]]) -> None:
        """QEMU has ended: read what is still in the sockets first."""
        code = await machine.wait()
        await asyncio.wait(ends, timeout=5)
        self._plot.set()  # it can no longer come
        if self._over.is_set():
            return
        if self._answers.is_set() and code == 0:
            self._over.set()
        elif code == 0 or self._shut_down.is_set():
            self._fail("the guest powered off before it sent its report")
        else:
            self._fail(f"QEMU exited with status {code}: {printable(machine.stderr()) or 'no message'}")

    async def _read_console(self, machine: Machine) -> None:
        while data := await machine.console.read(65536):
            self._console.feed(data)
            if self._console.death is not None and not self._over.is_set():
                death = self._console.death
                asyncio.get_running_loop().call_later(_LAST_WORDS_SECONDS, self._fail, death)

    async def _read_report(self, machine: Machine) -> None:
        while data := await machine.report.read(65536):
            try:
                for message in self._lines.feed(data):
                    self._take(message)
            except ReportError as error:
                self._fail(printable(str(error)))
                break
        # Nothing is read after a failure, so a guest that keeps sending waits for its end.

    def _take(self, message: Message) -> None:
        self._messages.append(message)
        if message.kind == "verify":
            self._checks = parse_verify(message)
            self.report = message
            self._steps.note(f"the guest reported {len(self._checks)} checks")
        elif message.kind == "times":
            self._times = parse_times(message)
            self._steps.note(str(self._times))
        elif message.kind == "plot":
            path = self._output / "boot-plot.svg"
            plot = parse_plot(message)
            path.write_bytes(draw(plot, self._times) if self._times else plot)
            self._files["plot"] = path
            self._plot.set()
        else:
            self._steps.note(f"the guest sent {message.kind}: {as_text(message.body.get('name'))[:80]}")
        if self._until is not None:
            if self._until(self._messages):
                self._over.set()
        elif self.report is not None:
            self._over.set()

    async def _follow_events(self, machine: Machine) -> None:
        async for name, _ in machine.events():
            if name == "SHUTDOWN":
                self._shut_down.set()
            elif name == "RESET" and self._console.silent:
                await asyncio.sleep(2.5)  # for the screenshot: the firmware complains again before its next try
                self._fail("the machine reset without output on its console: the firmware found nothing to boot")
            elif name == "RESET":
                # Linux tries one way to reset after the other; several may come before the first takes effect.
                now, last = time.monotonic(), self._reset_at
                self._reset_at = now
                if now - last < _RESETS_SECONDS:
                    continue
                self._boots += 1
                self._console.rebooted()
                self._steps.note("the guest reboots")
                # Half a line may still be in the socket; the firmware sends nothing during that time.
                await asyncio.sleep(0.2)
                self._lines.drop_unfinished()

    async def _say_waiting(self) -> None:
        """Print a line every half minute: a boot under emulation has long pauses."""
        start = time.monotonic()
        while True:
            await asyncio.sleep(_WAITING_SECONDS)
            last = "".join(self._console.tail(1))[:100]
            self._steps.note(f"{time.monotonic() - start:6.1f} s  waiting; console: {last}")

    def _milestone(self, milestone: Milestone) -> None:
        self._milestones.append(milestone)
        self._steps.note(f"{milestone.seconds:6.1f} s  {milestone.name}")
        if milestone.name == "login" and not self._check and self._until is None and self._stay is None:
            self._over.set()

    def _fail(self, problem: str) -> None:
        if not self._problem:
            self._steps.note(problem)
        self._problem = self._problem or problem
        self._over.set()
        self._plot.set()

    async def _screenshot(self, machine: Machine) -> None:
        path = self._output / "screenshot.png"
        try:
            await machine.screenshot(path.resolve())
        except HostError as error:
            self._steps.note(f"no screenshot: {error}")
        else:
            self._files["screenshot"] = path

    async def _power_down(self, machine: Machine, gone: asyncio.Task[None], seconds: float) -> bool:
        """Press the power button; False if the guest does not react in time."""
        self._steps.note("shutting the guest down")
        with contextlib.suppress(HostError):  # it may be ending by itself
            await machine.qmp("system_powerdown")
        await asyncio.wait([gone], timeout=seconds)
        if not gone.done():
            self._steps.note(f"the guest did not power off within {seconds:.0f} s and is stopped")
        return gone.done()


@contextlib.asynccontextmanager
async def _tasks(on_error: Callable[[], None]) -> AsyncIterator[_Start]:
    """Tasks that end with the block. An error in one of them calls ``on_error`` and is raised at its end."""
    tasks: list[asyncio.Task[None]] = []

    def start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(lambda done: on_error() if not done.cancelled() and done.exception() else None)
        tasks.append(task)
        return task

    try:
        yield start
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception):
            raise error
