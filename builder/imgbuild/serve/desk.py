"""Who gets what: the rules by which boot scripts, seeds and reports are given out and taken.

A token goes into each boot script. It opens one node's seed, from the address that got the script or another one of the
same machine, for ten minutes after its first use. A second token, which only reports, lives until the next script. Both
are kept as digests.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from imgbuild.config.profile.pxe import NetworkBoot
from imgbuild.diagnostics.errors import HostError, UsageError
from imgbuild.outputs.bootline import BootLine
from imgbuild.serve import reports
from imgbuild.serve.reports import Report
from imgbuild.serve.state import Download, Record, ServeState, Taker, Token
from imgbuild.serve.tree import Tree
from imgbuild.serve.who import Who, read_mac

LIFETIME = 600.0
"""Seconds that a token is good for after its first use."""
_TAKERS, _STRANGERS, _RATE, _BUCKETS = 10, 64, 20.0, 4096


class Refused(Exception):  # noqa: N818 - the answer to a request
    """Not for this machine. ``status`` is the answer's."""

    def __init__(self, text: str, status: int = 403) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Answer:
    """What a boot script does: boot with these tokens, boot the disk, wait for the operator, or tell ``text``."""

    kind: Literal["boot", "disk", "wait", "unknown", "refused"]
    text: str = ""
    machine: BootLine | None = None
    boot: NetworkBoot = "diskless"
    token: str = field(default="", repr=False)
    reports: str = field(default="", repr=False)


@dataclass
class Stranger:
    """A machine that no node lists, which asked for a boot script."""

    mac: str
    address: str
    time: float
    times: int = 1


class Desk:
    """The rules, on top of a tree and a state. ``now`` is the time in seconds since 1970, ``tell`` takes lines for the
    operator.
    """

    def __init__(
        self,
        tree: Tree,
        state: ServeState,
        who: Who,
        *,
        confirm: bool = False,
        boot: NetworkBoot | None = None,
        now: Callable[[], float] = time.time,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.tree, self.state, self.who = tree, state, who
        self.confirm, self._boot, self.now, self.tell = confirm, boot, now, tell
        self.strangers: OrderedDict[str, Stranger] = OrderedDict()
        self.version = 0
        self.dirty = False
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._unsaved_problem = ""
        for machine in tree.nodes.nodes:
            if machine.mac:
                self.record(machine.mac, machine)

    # What is known of a machine

    def record(self, mac: str, machine: BootLine) -> Record:
        """The record of this card; a new one if there is none."""
        found = self.state.nodes.get(mac)
        if found is None:
            found = Record(mac=mac, name=machine.name if machine.mac else mac)
            self.state.nodes[mac] = found
            self.changed(found)
        return found

    def listed(self) -> list[Record]:
        """The records that the page shows: those of the tree's nodes, in its order, then of machines without one."""
        machines = self.tree.nodes.nodes
        own = [self.record(machine.mac, machine) for machine in machines if machine.mac]
        known = {record.mac for record in own}
        return own + [record for mac, record in self.state.nodes.items() if mac not in known and record.first]

    def changed(self, record: Record | None) -> None:
        """Note a change: the page shows it, and it is saved soon."""
        self.version += 1
        self.dirty = True
        if record is not None:
            record.version = self.version

    def save(self, *, needed: bool = False) -> None:
        """Write the records. If that fails, tell it once.

        Raises:
            Refused: ``needed``, and it failed: what is not on the disk is not given out.
        """
        try:
            self.state.save()
            self.dirty, self._unsaved_problem = False, ""
        except (OSError, HostError) as error:
            text = f"cannot save the state in {self.state.folder}: {error}"
            if text != self._unsaved_problem:
                self.tell(text)
            self._unsaved_problem = text
            if needed:
                raise Refused("the server cannot save its state: nothing is given out", 503) from error

    def at_address(self, address: str) -> Record | None:
        """The machine that has this address."""
        mac = self.who.holder(address).mac
        if mac is None:
            return None
        if mac in self.state.nodes:
            return self.state.nodes[mac]
        machine = self.tree.machine(mac)
        return self.state.nodes.get(machine.mac) if machine is not None and machine.mac else None

    # Boot scripts and seeds

    def script(self, mac: str, address: str, claims: str = "") -> Answer:
        """The boot script for the card with this MAC, asked for from ``address``.

        Raises:
            Refused: the state cannot be saved.
        """
        machine, now = self.tree.machine(mac), self.now()
        if machine is None:
            self._stranger(mac, address)
            return Answer("unknown", f"No node of {self.tree.cluster} has the MAC {mac}.")
        holder = self.who.holder(address)
        if holder.mac is None or holder.mac not in (mac, *machine.macs):
            known = self.state.nodes.get(mac)
            problem = holder.problem or f"{address} belongs to {holder.mac}, not to {mac}"
            if known is not None:
                self._taker(known, address, f"asked for its boot script: {problem}")
            return Answer("refused", problem)
        record = self.record(mac, machine)
        record.first, record.seen, record.address = record.first or now, now, address
        record.claims = claims[:200]
        self.changed(record)
        if record.state == "installed":
            record.disk = now
            return Answer("disk", machine=machine)
        if self.confirm and record.confirmed != address:
            if record.waiting != address:
                self.tell(f"{record.name} ({mac}, {address}) waits for your confirmation on the page")
            record.waiting = address
            return Answer("wait", f"{record.name} waits for confirmation on the page of imgbuild serve.")
        return self._give(record, machine, address, now)

    def _give(self, record: Record, machine: BootLine, address: str, now: float) -> Answer:
        before = record.token
        if before is not None and before.address != address and not _ended(before, now):
            self._taker(record, address, f"got a boot script while the one for {before.address} was still good")
        token, report = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        record.token = Token(digest=_digest(token), address=address, issued=now)
        record.reports = Token(digest=_digest(report), address=address, issued=now)
        record.state, record.waiting, record.script = "live", "", now
        record.kernel = record.live = record.seed = record.phone = record.ready = record.install = None
        record.download, record.stages, record.stage = None, {}, ""
        self.changed(record)
        self.save(needed=True)
        boot = self._boot or machine.boot or "diskless"
        self.tell(f"{record.name} ({record.mac}, {address}): boot script, {boot}")
        return Answer("boot", machine=machine, boot=boot, token=token, reports=report)

    def seed(self, token: str, folder: str, address: str) -> BootLine:
        """The node whose seed this token opens.

        Raises:
            Refused: it opens none, or not from this address, or has ended.
        """
        now = self.now()
        record = self._by_token(token)
        machine = self.tree.machine(record.mac) if record is not None else None
        if record is None or record.token is None or machine is None or machine.folder != folder:
            raise Refused("this token is not known: it ended, or a newer boot script replaced it")
        if not self._is_same(record, machine, address):
            self._taker(record, address, "asked for its seed with its token")
            raise Refused(f"this token is not for {address}")
        if _ended(record.token, now):
            raise Refused(f"this token ended {LIFETIME / 60:.0f} minutes after its first use: boot the machine again")
        if record.token.used is None:
            record.token.used, record.seed = now, now
            self.changed(record)
            self.save(needed=True)
            self.tell(f"{record.name}: seed fetched by {address}")
        record.seen = now
        return machine

    def _by_token(self, token: str) -> Record | None:
        digest = _digest(token)
        return next((r for r in self.state.nodes.values() if r.token is not None and r.token.digest == digest), None)

    def _is_same(self, record: Record, machine: BootLine, address: str) -> bool:
        """Whether that machine has ``address`` now. It need not be the one that got the token: a DHCP client that
        identifies itself in another way than the firmware did gets another one.
        """
        return self.who.holder(address).mac in (record.mac, *machine.macs)

    # Reports

    def report(self, report: Report, token: str | None, address: str) -> None:
        """Take a report. ``token`` is the one for reports, None if it came without.

        Raises:
            Refused: unknown token, another machine, or too many reports.
        """
        self._bound(token or address)
        if token is not None:
            digest = _digest(token)
            record = next((r for r in self.state.nodes.values() if r.reports and r.reports.digest == digest), None)
            machine = self.tree.machine(record.mac) if record is not None else None
            if record is None or machine is None:
                raise Refused("this address for reports is not known: a newer boot script replaced it")
            if not self._is_same(record, machine, address):
                self._taker(record, address, f"reported {report.event} with its token")
                raise Refused(f"this address for reports is not for {address}")
        else:
            record = self._at_sender(address)
        reports.apply(record, report, self.now(), trusted=token is not None)
        self.changed(record)
        if report.event in ("installed", "ready"):
            self.save(needed=True)
            self.tell(f"{record.name}: {report.event}")
        elif report.event == "failed":
            self.tell(f"{record.name}: failed: {record.error}")

    def _at_sender(self, address: str) -> Record:
        """The machine that a report without a token is from: the one that has the address, whatever it claims."""
        found = self.at_address(address)
        if found is not None:
            found.address = address
            return found
        problem = self.who.holder(address).problem or f"{address} belongs to no node"
        raise Refused(f"the report is not taken: {problem}")

    def _bound(self, sender: str) -> None:
        """At most twenty reports a second from one sender."""
        now = self.now()
        left, last = self._buckets.pop(sender, (_RATE, now))
        left = min(_RATE, left + max(0.0, now - last) * _RATE)
        self._buckets[sender] = (max(left - 1, 0.0), now)
        if len(self._buckets) > _BUCKETS:
            self._buckets.popitem(last=False)
        if left < 1:
            raise Refused("too many reports", 429)

    # What serve sees by itself, and what the operator does

    def downloads(self, record: Record, file: str, done: int, total: int) -> None:
        """How much of a large file a machine has. It has its live root once it has that file."""
        now = self.now()
        record.download = Download(file=file, done=min(done, total), total=total, time=now)
        record.seen = now
        if file == self.tree.nodes.root and done >= total:
            record.live = now
        self.changed(record)

    def loads_kernel(self, address: str) -> None:
        """The machine at this address fetches the kernel."""
        record = self.at_address(address)
        if record is not None:
            record.kernel = record.seen = self.now()
            self.changed(record)

    def rearm(self, name: str) -> Record:
        """Let a node, named by its name or MAC, boot as a new one again.

        Raises:
            UsageError: there is no such node.
        """
        mac = read_mac(name)
        machine = self.tree.named(name)
        record = self.state.nodes.get(mac or (machine.mac if machine and machine.mac else ""))
        if record is None:
            names = ", ".join(r.name for r in self.listed()) or "none"
            raise UsageError(f"there is no node {name!r}", f"use one of: {names}")
        fresh = Record(mac=record.mac, name=record.name, version=record.version)
        self.state.nodes[record.mac] = fresh
        self.changed(fresh)
        self.save()
        self.tell(f"{fresh.name}: the next network boot gives it a seed again")
        return fresh

    def confirm_boot(self, mac: str) -> Record:
        """Allow the machine that waits with this MAC to boot, at the address from which it asked.

        Raises:
            UsageError: none waits.
        """
        record = self.state.nodes.get(mac)
        if record is None or not record.waiting:
            raise UsageError(f"no machine with the MAC {mac} waits for confirmation")
        record.confirmed, record.waiting = record.waiting, ""
        self.changed(record)
        self.save()
        return record

    def _taker(self, record: Record, address: str, what: str) -> None:
        if not any(t.address == address and t.what == what for t in record.takers):
            self.tell(f"WARNING: {record.name}: {address} {what}")
        else:
            record.takers = [t for t in record.takers if (t.address, t.what) != (address, what)]
        record.takers = [*record.takers, Taker(address=address, what=what, time=self.now())][-_TAKERS:]
        self.changed(record)

    def _stranger(self, mac: str, address: str) -> None:
        known = self.strangers.pop(mac, None)
        if known is None:
            self.tell(f"{address} has the MAC {mac}, which no node has: it gets no keys")
        self.strangers[mac] = Stranger(mac, address, self.now(), known.times + 1 if known else 1)
        if len(self.strangers) > _STRANGERS:
            self.strangers.popitem(last=False)
        self.changed(None)


def _ended(token: Token, now: float) -> bool:
    return token.used is not None and now - token.used > LIFETIME


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
