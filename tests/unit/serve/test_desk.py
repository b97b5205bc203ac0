"""Who gets a boot script, a seed, and whose report is taken: the rules, with a clock of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgbuild.diagnostics.errors import HostError, UsageError
from imgbuild.serve.desk import LIFETIME, Desk, Refused
from imgbuild.serve.reports import Report
from imgbuild.serve.state import NODES, ServeState, state_folder
from imgbuild.serve.tree import open_tree
from imgbuild.serve.who import Holder
from tests.support.serving.tree import CP1, TAKES_ANY, W1, make_tree

FOLDER = f"mac-{CP1.replace(':', '-')}"
ONE, TWO, OTHER = "10.0.0.11", "10.0.0.12", "10.0.0.99"


class Known:
    """Who has which address, as the test sets it."""

    def __init__(self) -> None:
        self.macs = {ONE: CP1, TWO: W1}

    def holder(self, address: str) -> Holder:
        mac = self.macs.get(address)
        return Holder(mac) if mac else Holder(None, f"{address} has no lease here and is not in this segment")


class World:
    """A desk, its clock and its state folder."""

    def __init__(self, folder: Path, *, confirm: bool = False) -> None:
        self.folder, self.confirm, self.time, self.who = folder, confirm, 1e9, Known()
        self.told: list[str] = []
        if not (folder / "lab").exists():
            make_tree(folder / "lab")
            (folder / "state").mkdir()
        self.again()

    def again(self) -> None:
        """As after a kill -9: what was not saved is lost."""
        self.state = ServeState(self.folder / "state")
        self.desk = Desk(
            open_tree(self.folder / "lab"), self.state, self.who, confirm=self.confirm, now=lambda: self.time,
            tell=self.told.append,
        )  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_seed_for_ten_minutes_after_its_first_use(world: World) -> None:
    token = world.desk.script(CP1, ONE).token
    world.time += 3 * 86400  # a machine that hangs before it asks
    assert world.desk.seed(token, FOLDER, ONE).name == "cp1"
    world.time += LIFETIME - 1
    world.desk.seed(token, FOLDER, ONE)
    world.time += 2
    with pytest.raises(Refused, match="ended 10 minutes after"):
        world.desk.seed(token, FOLDER, ONE)


def test_the_time_of_a_token_goes_on_over_a_kill(world: World) -> None:
    token = world.desk.script(CP1, ONE).token
    world.again()
    world.desk.seed(token, FOLDER, ONE)
    world.again()
    world.time += LIFETIME + 1
    with pytest.raises(Refused, match="ended"):
        world.desk.seed(token, FOLDER, ONE)


def test_tokens_are_on_the_disk_as_digests_only(world: World) -> None:
    answer = world.desk.script(CP1, ONE)
    text = (world.folder / "state" / NODES).read_text()
    assert answer.token not in text and answer.reports not in text and answer.token not in repr(answer)
    assert (world.folder / "state" / NODES).stat().st_mode & 0o777 == 0o600
    assert (world.folder / "state" / "key").stat().st_mode & 0o777 == 0o600


def test_a_new_script_ends_the_token_before(world: World) -> None:
    first, second = world.desk.script(CP1, ONE), world.desk.script(CP1, ONE)
    assert first.token != second.token
    with pytest.raises(Refused, match="not known"):
        world.desk.seed(first.token, FOLDER, ONE)
    with pytest.raises(Refused, match="not known"):
        world.desk.report(Report("installed"), first.reports, ONE)
    world.desk.seed(second.token, FOLDER, ONE)


def test_nobody_else_gets_a_seed_and_the_page_shows_who_tried(world: World) -> None:
    assert world.desk.script(CP1, TWO).kind == "refused"
    assert world.desk.script(CP1, OTHER).kind == "refused"
    token = world.desk.script(CP1, ONE).token
    with pytest.raises(Refused, match=r"not for 10\.0\.0\.12"):
        world.desk.seed(token, FOLDER, TWO)
    with pytest.raises(Refused, match="not known"):
        world.desk.seed(token, f"mac-{W1.replace(':', '-')}", ONE)
    takers = world.desk.record(CP1, world.desk.tree.machine(CP1)).takers  # type: ignore[arg-type]
    assert [taker.address for taker in takers] == [TWO, OTHER, TWO]
    assert sum("WARNING" in line for line in world.told) == 3
    for _ in range(100):  # a machine that tries on and on is one line, and the list stays short
        world.desk.script(CP1, OTHER)
    assert len(world.desk.state.nodes[CP1].takers) == 3 and sum("WARNING" in line for line in world.told) == 3


def test_another_address_of_the_same_machine_is_that_machine(world: World) -> None:
    """The firmware asks for an address by MAC, systemd-networkd by a DUID: the DHCP server gives two."""
    token = world.desk.script(CP1, ONE).token
    world.who.macs[OTHER] = CP1
    world.desk.seed(token, FOLDER, OTHER)
    world.who.macs[ONE] = W1  # the address has changed hands
    with pytest.raises(Refused):
        world.desk.seed(token, FOLDER, ONE)


def test_a_script_for_another_address_while_the_first_is_good_is_shown(world: World) -> None:
    world.desk.script(CP1, ONE)
    world.who.macs[OTHER] = CP1
    world.desk.script(CP1, OTHER)
    assert "while the one for 10.0.0.11" in world.desk.state.nodes[CP1].takers[0].what


def test_an_installed_node_gets_its_disk_and_no_token_until_rearmed(world: World) -> None:
    answer = world.desk.script(CP1, ONE)
    world.desk.report(Report("install", stage="write", progress=40), answer.reports, ONE)
    assert world.desk.state.nodes[CP1].state == "installing"
    world.desk.report(Report("installed"), answer.reports, ONE)
    world.again()
    later = world.desk.script(CP1, ONE)
    assert (later.kind, later.token, later.reports) == ("disk", "", "")
    with pytest.raises(Refused):
        world.desk.seed(answer.token, FOLDER, ONE)
    world.desk.rearm("cp1")
    world.again()
    assert world.desk.script(CP1, ONE).kind == "boot"
    with pytest.raises(UsageError, match="no node 'cp9'") as caught:
        world.desk.rearm("cp9")
    assert "cp1, w1" in caught.value.hint


def test_installed_is_believed_with_the_token_only(world: World) -> None:
    answer = world.desk.script(CP1, ONE)
    world.desk.report(Report("installed"), None, ONE)
    assert world.desk.state.nodes[CP1].state == "live"
    with pytest.raises(Refused):
        world.desk.report(Report("installed"), answer.reports, TWO)
    with pytest.raises(Refused):
        world.desk.report(Report("installed"), answer.token, ONE)
    assert world.desk.state.nodes[CP1].state == "live"


def test_a_report_without_a_token_is_the_senders_own_whatever_it_says(world: World) -> None:
    world.desk.report(Report("ready", node="cp1", mac=CP1), None, TWO)
    assert world.desk.state.nodes[W1].ready and not world.desk.state.nodes[CP1].ready
    with pytest.raises(Refused, match="no lease"):
        world.desk.report(Report("ready", node="cp1"), None, OTHER)


def test_a_flood_of_reports_is_bounded_for_its_sender_only(world: World) -> None:
    with pytest.raises(Refused) as caught:
        for _ in range(100):
            world.desk.report(Report("console", message="x" * 4000), None, ONE)
    assert caught.value.status == 429
    world.desk.report(Report("ready"), None, TWO)
    world.time += 1
    world.desk.report(Report("ready"), None, ONE)
    for number in range(10_000):  # as many senders as there are addresses
        with pytest.raises(Refused):
            world.desk.report(Report("ready"), None, f"10.1.{number // 256}.{number % 256}")
    assert len(world.desk._buckets) <= 4096


def test_an_unknown_machine_gets_no_keys_and_is_listed(world: World) -> None:
    for number in range(200):
        answer = world.desk.script(f"52:54:00:00:01:{number:02x}", OTHER)
        assert (answer.kind, answer.token) == ("unknown", "")
    assert len(world.desk.strangers) == 64
    assert len(world.desk.state.nodes) == 2


def test_with_confirm_nothing_is_given_before(tmp_path: Path) -> None:
    world = World(tmp_path, confirm=True)
    assert world.desk.script(CP1, ONE).kind == "wait"
    assert world.desk.script(CP1, ONE).kind == "wait"
    assert sum("waits for your confirmation" in line for line in world.told) == 1
    with pytest.raises(UsageError):
        world.desk.confirm_boot(W1)
    world.desk.confirm_boot(CP1)
    world.again()
    assert world.desk.script(CP1, ONE).kind == "boot"
    world.who.macs = {OTHER: CP1}
    assert world.desk.script(CP1, OTHER).kind == "wait"  # confirmed was the machine at the other address


def test_a_node_for_any_machine(tmp_path: Path) -> None:
    make_tree(tmp_path / "lab", nodes=[TAKES_ANY])
    (tmp_path / "state").mkdir()
    world = World(tmp_path)
    world.who.macs = {ONE: "52:54:00:00:00:77", TWO: "52:54:00:00:00:78"}
    first, second = (world.desk.script(mac, address) for address, mac in world.who.macs.items())
    assert world.desk.seed(first.token, "any", ONE).name == world.desk.seed(second.token, "any", TWO).name == "spare"
    world.desk.report(Report("installed"), first.reports, ONE)
    assert [record.state for record in world.desk.listed()] == ["installed", "live"]


def test_what_cannot_be_saved_is_not_given_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: ServeState) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ServeState, "save", full)
    with pytest.raises(Refused) as caught:
        world.desk.script(CP1, ONE)
    assert caught.value.status == 503 and any("No space left" in line for line in world.told)


def test_two_serves_do_not_share_a_state(tmp_path: Path) -> None:
    with state_folder(tmp_path / "a" / "state") as kept:
        assert kept.stat().st_mode & 0o777 == 0o700
        with pytest.raises(HostError, match="another imgbuild serve"), state_folder(kept):
            pass
    with state_folder(tmp_path / "a" / "state"):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match="cannot write"), state_folder(tmp_path / "file"):
        pass


@pytest.mark.parametrize("text", ["", "{", '{"version": 2}', '{"nodes": {"a": {}}}', "\0" * 100])
def test_a_damaged_state_is_told_not_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / NODES).write_text(text)
    with pytest.raises(HostError, match="damaged"):
        ServeState(tmp_path)
    assert (tmp_path / NODES).read_text() == text
