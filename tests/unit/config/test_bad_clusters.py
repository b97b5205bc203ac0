"""Bad cluster files through the real command: the code, the place, exit code 1, nothing written; all of it at once."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from imgbuild.cli.main import main
from imgbuild.config.kept_secrets import Kept
from imgbuild.config.secrets import Secrets, make
from tests.support.checking import ADMIN
from tests.support.events import findings_of

HEAD = "name: lab\nendpoint: 10.0.0.9:6443\nnodes:\n"
CP = "  - {name: a, role: control-plane}\n"


@pytest.fixture(scope="module")
def fresh() -> Secrets:
    """The secrets of the cluster lab, as of now."""
    return make("lab", int(time.time()))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: Secrets) -> None:
    monkeypatch.chdir(tmp_path)
    Kept(fresh, tmp_path / "lab.secrets.yaml", None, 0).save()


def check(*words: str) -> tuple[int, list[dict[str, Any]]]:
    done = CliRunner().invoke(
        main,
        ["check", "--profile", "debian12-efi", "--set", ADMIN, "--cluster", "lab.yaml", "--format", "json", *words],
    )
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, findings_of(done.stdout)


def static(number: int, mac: int, address: int) -> str:
    return (
        f"{{dns: [1.1.1.1], interfaces: [{{name: eth0, mac: '52:54:00:00:00:{mac:02}', "
        f"addresses: [10.0.0.{address}/24], gateway: 10.0.0.254}}]}}"
    )


CASES: dict[str, tuple[str, str, int, int]] = {
    "an address twice": (
        f"{HEAD}  - name: a\n    role: control-plane\n    network: {static(1, 1, 1)}\n"
        f"  - name: b\n    role: worker\n    network: {static(2, 2, 1)}\n",
        "IB403", 9, 95,
    ),
    "no control plane": (f"{HEAD}  - {{name: a, role: worker}}\n", "IB410", 4, 21),
    "two control planes": (f"{HEAD}{CP}  - {{name: b, role: control-plane}}\n", "IB412", 5, 21),
    "a node without a role": (f"{HEAD}{CP}  - {{name: b}}\n", "IB112", 5, 5),
    "a MAC twice": (
        f"{HEAD}  - {{name: a, role: control-plane, mac: '52:54:00:00:00:01'}}\n"
        "  - {name: b, role: worker, mac: '52:54:00:00:00:01'}\n",
        "IB402", 5, 34,
    ),
    "settings that change the image": (
        f"{HEAD}{CP}  - {{name: b, role: worker, settings: {{time: {{zone: Asia/Tokyo}}}}}}\n", "IB441", 5, 53,
    ),
    "settings that are none": (f"{HEAD}{CP}  - {{name: b, role: worker, settings: {{kernl: {{}}}}}}\n", "IB111", 5, 40),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_one_bad_cluster(name: str, tmp_path: Path) -> None:
    text, code, line, column = CASES[name]
    (tmp_path / "lab.yaml").write_text(text)
    before = sorted(tmp_path.rglob("*"))
    exit_code, found = check()
    assert exit_code == (0 if code == "IB412" else 1)
    wanted = [f for f in found if f["code"] not in ("IB438", "IB801", "IB802")]
    assert [(f["code"], f["file"], f["line"], f["column"]) for f in wanted] == [(code, "lab.yaml", line, column)]
    assert wanted[0]["severity"] == ("warning" if code == "IB412" else "error") and wanted[0]["hint"]
    assert sorted(tmp_path.rglob("*")) == before


def _of_another(text: str) -> str:
    return text.replace("cluster: lab\n", "cluster: prod\n")


def _expired(text: str) -> str:
    line = next(line for line in text.splitlines() if line.startswith("bootstrap_token_expires"))
    before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    return text.replace(line, f"bootstrap_token_expires: {before:%Y-%m-%dT%H:%M:%SZ}")


SECRETS: Sequence[tuple[Callable[[str], str], str, str]] = (
    (_of_another, "IB903", "cluster"), (_expired, "IB906", "bootstrap_token_expires"),
)  # fmt: skip


@pytest.mark.parametrize(("change", "code", "key"), SECRETS)
def test_bad_secrets(change: Callable[[str], str], code: str, key: str, tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text(HEAD + CP)
    path = tmp_path / "lab.secrets.yaml"
    path.write_text(change(path.read_text()))
    exit_code, found = check()
    assert exit_code == 1
    (error,) = [f for f in found if f["severity"] == "error"]
    assert (error["code"], error["key"], error["file"]) == (code, key, "lab.secrets.yaml")
    assert path.read_text().splitlines()[error["line"] - 1].startswith(f"{key}:")


EVERYTHING = f"""\
name: lab
endpoint: 10.0.0.9
nodes:
  - name: a
    role: master
    network: {static(1, 1, 1)}
  - name: B
    role: worker
    network: {static(2, 1, 1)}
  - {{name: c, role: worker, labels: {{k8s.io/x: y}}, mac: 12}}
  - {{name: c, role: worker, mac: '52:54:00:00:00:01', settings: {{time: {{zone: Asia/Tokyo}}, swop: 1}}}}
  - 7
  - name: e
    role: worker
    network: {{interfaces: [{{name: eth0, mac: x, addresses: [10.244.0.1/16]}}]}}
  - {{name: f, role: worker, settings: 3, taints: [{{key: x, effect: NoExecute}}, {{key: x, effect: NoExecute}}]}}
"""


def test_what_is_wrong_with_one_node_does_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text(EVERYTHING)
    path = tmp_path / "lab.secrets.yaml"
    path.write_text(_expired(path.read_text()))
    exit_code, found = check("--set", "cilium.values.devices=[eth1]", "--set", "helm.version=3.9.4")
    assert exit_code == 1
    errors = [(f["code"], f["key"], f["line"]) for f in found if f["severity"] == "error"]
    wanted = [
        ("IB113", "endpoint", 2), ("IB113", "nodes[0].role", 5), ("IB113", "nodes[1].name", 7),
        ("IB113", "nodes[2].mac", 10), ("IB113", "nodes[4]", 12),
        ("IB113", "nodes[5].network.interfaces[0].mac", 15), ("IB113", "nodes[6].settings", 16),
        ("IB221", "nodes[5].network.interfaces[0].addresses[0]", 15),
            ("IB402", "nodes[1].network.interfaces[0].mac", 9),
        ("IB403", "nodes[1].network.interfaces[0].addresses[0]", 9), ("IB401", "nodes[3].name", 11),
        ("IB418", 'nodes[2].labels."k8s.io/x"', 10), ("IB419", "nodes[6].taints[1]", 16),
        ("IB111", "nodes[3].settings.swop", 11), ("IB441", "nodes[3].settings.time.zone", 11),
        ("IB642", "cilium.values.devices[0]", 2), ("IB603", "helm.version", 0), ("IB605", "helm.version", 3),
        ("IB906", "bootstrap_token_expires", 0),
    ]  # fmt: skip
    # In which line of base.yaml and of the secrets a key stands is not this test's.
    assert sorted((c, k, 0 if c in ("IB603", "IB906") else n) for c, k, n in errors) == sorted(wanted)
    (taken,) = [f for f in found if f["code"] == "IB402"]  # one for both, with the place of each
    assert [place["line"] for place in taken["also"]] == [11] and len(taken["nodes"]) == 2
    # Nothing is made up of what stands in for a bad value: no "no control plane", nothing about the MAC of node e.
    assert not {"IB410", "IB411", "IB480", "IB903"} & {f["code"] for f in found}
    assert all(" e (" not in f["message"] for f in found)


@pytest.mark.parametrize("nodes", ["nodes: []", "nodes: 3", "nodes: {}", "", "nodes:", "nodes: [7]", "nodes: [[], {}]"])
def test_no_nodes_to_speak_of(nodes: str, tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text(f"name: lab\n{nodes}\n")
    exit_code, found = check()
    assert exit_code == 1
    assert {f["code"] for f in found if f["severity"] == "error"} <= {"IB112", "IB113"}


def test_a_cluster_without_a_name_asks_for_nobody_s_secrets(tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text(f"name: L\nnodes:\n{CP}")
    exit_code, found = check()
    assert exit_code == 1
    assert [f["code"] for f in found if f["severity"] == "error"] == ["IB113"]
