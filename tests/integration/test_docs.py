"""The documentation is true: its blocks run, its keys and defaults exist, its links lead somewhere.

Marks in the pages, as an HTML comment before a block:

``file: NAME``      the block is written to that file of the page's folder, for the commands after it
``not run: WHY``    the commands are not run; that imgbuild has their commands and options is still checked
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from imgbuild.cli.commands import COMMANDS, load_command
from imgbuild.cli.main import main
from imgbuild.config import declared
from imgbuild.config.cluster_file import load_cluster
from imgbuild.config.flow import flow
from imgbuild.config.load import Loaded, load
from imgbuild.config.lock_file import read_lock
from imgbuild.config.profile import Profile, User
from imgbuild.config.schema import KINDS, json_schema
from imgbuild.config.set_option import parse_set
from imgbuild.config.setting import Listed
from imgbuild.config.source import parse
from imgbuild.config.target import load_target, target_names
from imgbuild.diagnostics.codes import CODES, RETIRED
from imgbuild.diagnostics.findings import Findings, format_path
from imgbuild.facts.resolved import resolve
from imgbuild.render.verify import check_list
from tests.support.deadline import HUNG
from tests.support.places import ROOT
from tests.support.profiles import changed

DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), ROOT / "examples/README.md", *sorted(DOCS.rglob("*.md"))]
SHELL = ("shell", "sh", "bash", "console")
# A page is text that anybody edits: its blocks run nothing but these (and never as anything but a reader's commands).
HARMLESS = {
    "imgbuild", "base64", "cat", "cd", "echo", "find", "grep", "head", "ls", "mkdir", "sort", "tail", "wc", "xz",
}  # fmt: skip

KNOWN = {name: load_command(name) for name in COMMANDS}


SCHEMAS = {kind: Draft202012Validator(json_schema(kind)) for kind in KINDS}


# --- reading pages ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """One fenced block; ``note`` is the comment before it."""

    page: Path
    line: int
    language: str
    text: str
    note: str

    @property
    def file(self) -> str:
        """The file that it is to be written to, or an empty string."""
        return self.note.removeprefix("file:").strip() if self.note.startswith("file:") else ""

    @property
    def runs(self) -> bool:
        """Whether its commands are run."""
        return self.language in SHELL and not self.note.startswith("not run:")

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    note, start, language, inside = "", 0, "", []  # type: tuple[str, int, str, list[str]]
    fence = ""
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if fence:
            if line.strip() == fence:
                yield Block(page, start, language, "\n".join(inside) + "\n", note)
                fence, note = "", ""
            else:
                inside.append(line)
        elif (match := re.match(r"(```+)([a-z]*)\s*$", line.strip())) is not None:
            fence, language, start, inside = match[1], match[2], number, []
        elif (comment := re.fullmatch(r"<!--\s*(.*?)\s*-->", line.strip())) is not None:
            note = comment[1]
        elif line.strip():
            note = ""
    assert not fence, f"{page}: the block in line {start} does not end"


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"(?ms)^```.*?^```$", "", page.read_text())


BLOCKS = {page: list(blocks(page)) for page in PAGES}
ids = [str(p.relative_to(ROOT)) for p in PAGES]


def commands(block: Block) -> Iterator[tuple[str, str]]:
    """The commands of a shell block, each with the output that the page shows for it (console blocks only)."""
    if block.language != "console":
        yield block.text, ""
        return
    command: str | None = None
    shown: list[str] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            if command is not None:
                yield command, "\n".join(shown)
            command, shown = line[2:], []
        elif command is not None and (command.endswith("\\") and not shown):
            command += "\n" + line
        else:
            assert command is not None, f"{block}: a console block starts with $"
            shown.append(line)
    if command is not None:
        yield command, "\n".join(shown)


def simple_commands(text: str) -> Iterator[list[str]]:
    """The words of each simple command in a piece of shell."""
    text = re.sub(r"[0-9]*>&[0-9]|[0-9]*>>?\s*[^\s&|;]+", "", text.replace("\\\n", " "))
    for line in text.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word in (";", "|", "||", "&&", "&"):
                if words:
                    yield words
                words = []
            else:
                words.append(word)


def click_accepts(words: list[str]) -> None:
    """imgbuild has this command with these options. Nothing is run."""
    name, command = "imgbuild", main  # type: tuple[str, click.Command]
    if words and words[0] in KNOWN:
        name, command, words = words[0], KNOWN[words[0]], words[1:]
    if {"-h", "--help", "--version"} & set(words):
        return
    context = command.make_context(name, list(words), resilient_parsing=False)
    assert not context.args, f"no such command: {context.args}"


# --- blocks and links ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [p for p in PAGES if p.parent.name != "findings"], ids=lambda p: p.name)
def test_yaml_blocks_are_valid_input(page: Path, tmp_path: Path) -> None:
    """The examples of findings are wrong on purpose: tests/unit/diagnostics/test_codes.py runs them."""
    for block in BLOCKS[page]:
        if block.file:
            (tmp_path / block.file).write_text(block.text)
    for number, block in enumerate(BLOCKS[page]):
        if block.language not in ("yaml", "yml"):
            continue
        path = tmp_path / (block.file or f"block{number}.yaml")
        path.write_text(block.text)
        findings = Findings()
        data = yaml.safe_load(block.text)
        here = Path.cwd()
        os.chdir(tmp_path)  # a profile may extend another of the page's by its name
        try:
            if "profiles" in data:
                read_lock(Path(path.name), findings)
            elif "nodes" in data:
                load_cluster(Path(path.name), findings)
            elif {"extends", "target"} & set(data):
                load(path.name, [], [], None, findings)
            else:
                load("debian12-efi", [path.name], [], None, findings)
        finally:
            os.chdir(here)
        assert not findings.items, f"{block}: {[(f.message, f.hint) for f in findings.items]}"
        schema = SCHEMAS["lock" if "profiles" in data else "cluster" if "nodes" in data else "profile"]
        assert not list(schema.iter_errors(data)), f"{block}: the JSON Schema does not take it"


@pytest.mark.parametrize("page", [p for p in PAGES if any(b.runs for b in BLOCKS[p])],
                         ids=lambda p: str(p.relative_to(ROOT)))  # fmt: skip
def test_commands_run(page: Path, tmp_path: Path) -> None:
    """In order, in a folder of their own; what a console block shows must come out."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path), "IMGBUILD_CACHE": str(tmp_path / ".cache"), "LC_ALL": "C.UTF-8",
        "SOURCE_DATE_EPOCH": os.environ["SOURCE_DATE_EPOCH"],
    }  # fmt: skip
    for block in BLOCKS[page]:
        if block.file:
            (tmp_path / block.file).write_text(block.text)
        if not block.runs:
            continue
        for text, shown in commands(block):
            for words in simple_commands(text):
                assert words[0] in HARMLESS, f"{block}: {words[0]} is not run by a test; mark it <!-- not run: why -->"
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", text], cwd=tmp_path, env=environment, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=HUNG, check=False,
            )  # fmt: skip
            if block.language != "console":
                assert done.returncode == 0, f"{block}: {text}\n{done.stdout}"
                continue
            pattern = "".join(
                r"(?:.*\n)*?" if line.strip() == "..." else re.escape(line.rstrip()) + r"\s*\n"
                for line in shown.rstrip("\n").splitlines()
            )
            got = "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())
            assert re.fullmatch(pattern, got), f"{block}: {text}\nshown:\n{shown}\ngot ({done.returncode}):\n{got}"


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_imgbuild_command_exists(page: Path) -> None:
    """In blocks, run or not, and in the text."""
    found = [(f"{b}", w, False) for b in BLOCKS[page] if b.language in SHELL for t, _ in commands(b)
             for w in simple_commands(t)]  # fmt: skip
    found += [(f"{page.name}: {t}", shlex.split(t), True)
              for t in re.findall(r"`((?:sudo )?imgbuild [^`]*)`", prose(page))]  # fmt: skip
    for where, words, in_text in found:
        while words[0] == "sudo" or words[0].startswith("-") or "=" in words[0]:
            words = words[1:]
        if not words[0].endswith("imgbuild"):
            continue
        try:
            click_accepts(words[1:])
        except click.MissingParameter as error:
            assert in_text, f"{where}: {error.format_message()}"  # a sentence may name a command alone
        except click.ClickException as error:
            pytest.fail(f"{where}: {error.format_message()}")


def test_imgbuild_is_called_in_one_way_under_sudo() -> None:
    """sudo's secure_path has /usr/local/bin and no virtual environment; both ways to install make a link there."""
    texts = {path: path.read_text() for path in [*PAGES, *(ROOT / "examples").rglob("*.y*ml")]}
    assert not [path for path, text in texts.items() if re.search(r"sudo (-\S+ )*\S+/imgbuild( |$)", text)]
    for page in ("README.md", "docs/tutorial.md", "docs/how-to/air-gap.md"):
        assert re.search(r"\n *sudo ln -sf \S+/bin/imgbuild\"? /usr/local/bin/\n", texts[ROOT / page]), page


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_blocks_that_are_not_run_say_why(page: Path) -> None:
    for block in BLOCKS[page]:
        assert block.language, f"{block}: say the language of the block"
        if block.note.startswith("not run:"):
            assert len(block.note) > 15, f"{block}: say why"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    out = set()
    for heading in re.findall(r"(?m)^#+ (.*)$", prose(page)):
        text = re.sub(r"[`*]", "", heading).strip().lower()
        out.add(re.sub(r"[^\w\- ]", "", text).replace(" ", "-"))
    return out


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        place = (page.parent / name).resolve() if name else page
        assert place.exists(), f"{page.name}: {link} leads nowhere"
        if anchor and place.suffix == ".md":
            assert anchor in anchors(place), f"{page.name}: {link}: there is no such heading"


def test_every_page_is_linked() -> None:
    linked = {(p.parent / link.partition("#")[0]).resolve()
              for p in PAGES for link in re.findall(r"\]\(([^)\s:]+)\)", prose(p))}  # fmt: skip
    lost = [p for p in PAGES if p.name not in ("README.md", "index.md") and p not in linked]
    assert not lost, f"no page links to {lost}"


# --- the profile's keys and defaults ---------------------------------------------------------------------------------


def key_exists(path: tuple[str | int, ...]) -> bool:
    """Whether a profile takes this key; the names of a chart's values are not ours to judge."""
    above = declared.nearest(Profile, path)
    return declared.place(Profile, path) is not None or any(found.find(Listed) is not None for found in above.line)


def key_path(text: str) -> tuple[str | int, ...] | None:
    """The parts of a key as a user writes it."""
    found = parse_set(f"{text}=null", 1, Findings())
    return found[0] if found else None


def loaded(target: str) -> Loaded:
    """The shipped EFI profile of a target."""
    findings = Findings()
    out = load(f"{target}-efi", [], [], None, findings)
    assert out is not None, findings.items
    return out


LOADED = {name: loaded(name) for name in target_names()}
# Names of the chart's that look like keys of ours.
CHART_NAMES = {"image.repository", "image.useDigest", "operator.image.repository", "envoy.image"}


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_keys_named_in_the_text_exist(page: Path) -> None:
    if page.name == "targets.md":
        return  # its keys are those of a target
    for token in re.findall(r"`([a-z_0-9]+(?:\.[A-Za-z_0-9\"./*-]+|\[[0-9]*\])+)`", prose(page)):
        token = token.replace("[]", "[0]")
        if token.split(".")[0].split("[")[0] not in Profile.model_fields or token in CHART_NAMES:
            continue
        if token.endswith((".yaml", ".md", ".iso", ".service", ".repo", ".toml", ".json", ".conf", ".target", ".gz")):
            continue
        path = key_path(re.sub(r"\.(HOST|NAME)\b", r".x", token))
        assert path is not None and key_exists(path), f"{page.name}: there is no key {token}"


_DEFAULT = re.compile(r"`([a-z_]+(?:\.[^`]+)?)` = `([^`]+)`(?: \(([a-z]+[0-9]+)\))?")


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_defaults_named_in_the_text_are_the_real_ones(page: Path) -> None:
    found = [row for row in _DEFAULT.findall(prose(page)) if row[0] != "key"]
    if page.name == "recipe.md":
        assert len(found) > 90
    for key, text, target in found:
        path = key_path(key)
        assert path is not None
        here: Any = LOADED[target or "centos7"].layered.data
        for part in path:
            here = here[part]
        document = parse(f"value: {text}\n", page.name, Findings())
        assert document is not None
        assert here == document.data["value"], f"{page.name}: the default of {key} is {here!r}"


def table_rows(page: Path) -> list[list[str]]:
    """The cells of all tables of a page, without heads and rules."""
    out = []
    lines = prose(page).splitlines()
    for number, line in enumerate(lines):
        rule = number + 1 < len(lines) and re.fullmatch(r"\|[-:| ]+\|", lines[number + 1])
        if line.startswith("|") and not rule and not re.fullmatch(r"\|[-:| ]+\|", line):
            out.append([c.strip() for c in re.split(r"(?<!\\)\|", line.strip()[1:-1])])
    return out


def test_the_node_page_has_every_check() -> None:
    """Of imgbuild-verify, for every shipped profile with a user."""
    page = (DOCS / "reference" / "node.md").read_text()
    for found in LOADED.values():
        user = User(name="admin", ssh_keys=["ssh-ed25519 " + "A" * 68])
        profile = found.profile.model_copy(update={"users": [user]})
        for name in check_list(changed(resolve(found), profile=profile)):
            assert f"`{name.split(':')[0]}" in page, f"node.md: the check {name} is missing"


# --- the recipe ------------------------------------------------------------------------------------------------------

RECIPE = r"""
yum install -y chrony;
timedatectl set-ntp true;
timedatectl set-timezone Asia/Shanghai;
systemctl restart chronyd;
tar zxvf nerdctl-full-0.20.0-linux-amd64.tar.gz;
\cp -f bin/* /usr/local/bin/;
\cp -f lib/systemd/system/* /etc/systemd/system;
mkdir -p /opt/cni/bin;
\cp -f libexec/cni/* /opt/cni/bin;
sed -i "s#ExecStart=/usr/local/bin/buildkitd\(.*\)#ExecStart=/usr/local/bin/buildkitd --root /opt/buildkit
--containerd-worker-snapshotter=stargz
sed -i "s#ExecStart=\(.*\)#ExecStart=/usr/local/bin/containerd-stargz-grpc --root /opt/containerd-stargz-grpc
--log-level=debug --config=/etc/containerd-stargz-grpc/config.toml
mkdir /etc/containerd;
containerd config default > /etc/containerd/config.toml;
echo 'runtime-endpoint: unix:///run/containerd/containerd.sock' > /etc/crictl.yaml;
s#registry.k8s.io#registry.aliyuncs.com/google_containers#g
s#registry-1.docker.io#3i61yr6w.mirror.aliyuncs.com#g
s#SystemdCgroup\(.*\)#SystemdCgroup\ =\ true#g
cat <<EOF | sudo tee /etc/modules-load.d/containerd.conf
sudo modprobe overlay;
sudo modprobe br_netfilter;
sysctl --system;
systemctl enable --now containerd.service;systemctl restart containerd;
systemctl disable firewalld;systemctl stop firewalld;
sed -i 's/SELINUX=enforcing/SELINUX=permissive/' /etc/selinux/config
setenforce 0
cat <<EOF > /etc/yum.repos.d/kubernetes.repo
baseurl=https://mirrors.cloud.tencent.com/kubernetes/yum/repos/kubernetes-el7-x86_64/
gpgcheck=0
yum install -y kubelet kubeadm kubectl --disableexcludes=kubernetes;
systemctl enable --now kubelet;
modprobe br_netfilter
cat << EOF > /etc/sysctl.d/k8s.conf
net.bridge.bridge-nf-call-ip6tables = 0
net.bridge.bridge-nf-call-iptables = 0
net.ipv4.ip_forward = 1
net.ipv4.conf.lxc*.rp_filter = 0
net.ipv4.conf.all.rp_filter = 0
net.ipv4.conf.default.rp_filter = 0
net.ipv4.conf.*.rp_filter = 0
sysctl -p /etc/sysctl.d/k8s.conf;
kubeadm init --image-repository registry.aliyuncs.com/google_containers
--kubernetes-version=stable
--pod-network-cidr=10.244.0.0/16
--apiserver-advertise-address=$(ifconfig eth0
--skip-phases=addon/kube-proxy
--ignore-preflight-errors=all
rm -rf $HOME/.kube
mkdir -p $HOME/.kube
sudo cp -i /etc/kubernetes/admin.conf $HOME/.kube/config
sudo chown $(id -u):$(id -g) $HOME/.kube/config
source /usr/share/bash-completion/bash_completion
source <(kubectl completion bash)
echo "source <(kubectl completion bash)" >> ~/.bashrc
kubectl taint nodes --all node-role.kubernetes.io/master-
kubectl taint nodes --all node-role.kubernetes.io/control-plane-
kubeadm reset
yum install -y tar;
curl https://mirrors.huaweicloud.com/helm/v3.9.2/helm-v3.9.2-linux-amd64.tar.gz |tar zx;
\cp -f linux-amd64/helm /usr/local/bin;
chmod u+x /usr/local/bin/helm;
yum install -y https://www.elrepo.org/elrepo-release-8.el8.elrepo.noarch.rpm
yum install -y https://www.elrepo.org/elrepo-release-7.el7.elrepo.noarch.rpm
yum install kernel-ml --enablerepo=elrepo-kernel
grub2-set-default 0;grub2-mkconfig -o /boot/grub2/grub.cfg;
grub2-set-default 0;grub2-mkconfig -o /boot/efi/EFI/centos/grub.cfg;
uname -r
cat <<EOF | sudo tee /etc/systemd/system/sys-fs-bpf.mount
systemctl enable sys-fs-bpf.mount
systemctl restart sys-fs-bpf.mount
helm repo add cilium https://helm.cilium.io
helm upgrade -i cilium cilium/cilium --namespace kube-system
iptables-save|grep KUBE
kubectl exec -it -n kube-system cilium-srpvh -- cilium service list
"""

SETS = """
nodeinit.enabled=true
routing-mode=native
tunnel=disabled
k8sClientRateLimit.qps=30
k8sClientRateLimit.burst=40
rollOutCiliumPods=true
bpf.masquerade=true
bpfClockProbe=true
bpf.preallocateMaps=true
bpf.tproxy=true
bpf.hostLegacyRouting=false
autoDirectNodeRoutes=true
localRedirectPolicy=true
enableCiliumEndpointSlice=true
enableK8sEventHandover=true
externalIPs.enabled=true
hostPort.enabled=true
socketLB.enabled=true
nodePort.enabled=true
sessionAffinity=true
annotateK8sNode=true
nat46x64Gateway.enabled=false
ipv6.enabled=false
pmtuDiscovery.enabled=true
enableIPv6BIGTCP=false
sctp.enabled=true
wellKnownIdentities.enabled=true
hubble.enabled=false
ipv4NativeRoutingCIDR=192.168.31.254/32
ipam.operator.clusterPoolIPv4PodCIDRList[0]="10.244.0.0/16"
devices=enp7s0
installNoConntrackIptablesRules=true
enableIPv4BIGTCP=true
egressGateway.enabled=false
endpointRoutes.enabled=false
kubeProxyReplacement=true
loadBalancer.mode=dsr
loadBalancer.serviceTopology=true
bandwidthManager.enabled=true
bandwidthManager.bbr=true
highScaleIPcache.enabled=false
l2announcements.enabled=false
l2podAnnouncements.interface=enp7s0
image.useDigest=false
operator.image.useDigest=false
operator.rollOutPods=true
authentication.enabled=false
operator.image.repository=registry.cn-shenzhen.aliyuncs.com/liweilun1/operator
image.repository=registry.cn-shenzhen.aliyuncs.com/liweilun1/cilium
k8sServiceHost=192.168.31.254
k8sServicePort=6443
"""


def test_every_command_of_the_recipe_is_explained() -> None:
    text = (DOCS / "recipe.md").read_text()
    quoted = "".join(b.text for b in BLOCKS[DOCS / "recipe.md"] if b.language == "text")
    for line in RECIPE.split("\n"):
        assert line in quoted, f"recipe.md does not quote: {line}"
    # Every quotation is followed by an explanation, not by the next one.
    assert not re.search(r"```\n\s*```text", text)


def test_every_value_of_the_recipe_is_in_the_table() -> None:
    sets = SETS.split()
    assert len(sets) == 51
    rows = [r for r in table_rows(DOCS / "recipe.md") if r[0].isdigit()]
    assert [r[1].strip("`") for r in rows] == sets
    assert [int(r[0]) for r in rows] == list(range(1, 52))
    named = " ".join(r[2] for r in rows)
    for path in LOADED["centos7"].layered.history:
        if path[:2] == ("cilium", "values") and len(path) > 2:
            value = LOADED["centos7"].layered.history[path][-1][1]
            if value != {}:
                assert f"`{format_path(path)}`" in named, f"{format_path(path)} is a default, and recipe.md has it not"


# --- how-to pages -----------------------------------------------------------------------------------------------------


def test_the_upgrade_page_upgrades_to_a_newer_minor() -> None:
    """It is the next one, which imgbuild knows, and no command has another version."""
    versions = set(re.findall(r"\b1\.[0-9]{2}\.[0-9]+\b", (DOCS / "how-to/upgrade.md").read_text()))
    assert len(versions) == 1
    major, minor, _ = versions.pop().split(".")
    known = yaml.safe_load((ROOT / "profiles/versions/kubernetes.yaml").read_text())["minors"]
    assert f"{major}.{minor}" in known
    assert int(minor) == int(LOADED["debian12"].profile.kubernetes.version.split(".")[1]) + 1


# --- the other reference pages ---------------------------------------------------------------------------------------


def test_the_command_line_page_has_every_command_and_option() -> None:
    page = DOCS / "reference" / "command-line.md"
    sections = re.split(r"(?m)^## ", page.read_text())
    by_name = {s.split("\n")[0].strip("` "): s for s in sections}
    known: list[tuple[str, click.Command]] = [("imgbuild", main)]
    known += [(f"imgbuild {name}", command) for name, command in KNOWN.items()]
    for name, command in known:
        heading = next((h for h in by_name if h == name or (h.startswith(f"{name} ") and name != "imgbuild")), None)
        assert heading is not None, f"command-line.md has no section {name}"
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                context = click.Context(command)
                value = "" if parameter.is_flag else f" {parameter.make_metavar(context).strip('[]')}"
                if parameter.opts != ["--to"]:  # its systems are a table of their own
                    assert f"| `{max(parameter.opts, key=len)}{value}" in by_name[heading], f"{name} {parameter.opts}"
                for option in parameter.opts:
                    assert f"`{option}" in by_name[heading], f"command-line.md, {name}: {option} is missing"
                if isinstance(parameter.default, (int, str, Path)) and not isinstance(parameter.default, bool):
                    assert f"`{parameter.default}`" in by_name[heading], f"{name} {parameter.opts}: default"
        real = {"--help", *(option for parameter in command.params for option in parameter.opts)}
        named = re.findall(r"(?m)^\| `(--[a-z0-9-]+)", by_name[heading])
        assert set(named) <= real, f"command-line.md, {name}: there is no {set(named) - real}"
        assert len(named) == len(set(named)), f"command-line.md, {name}: an option is there twice: {named}"
    for name in re.findall(r"(?m)^## `?imgbuild ([a-z]+)", page.read_text()):
        assert name in KNOWN, f"there is no command {name}"


def test_the_targets_page_states_the_targets_facts() -> None:
    """Tables whose rows start with a key of profiles/targets/: the cells are the values there."""
    names = ("centos7", "centos8", "debian12")
    assert sorted(names) == target_names()
    checked = 0
    for row in table_rows(DOCS / "reference" / "targets.md"):
        match = re.fullmatch(r"`([a-z_0-9.]+)`(?: .*)?", row[0])
        if match is None or len(row) != 4:
            continue
        for name, cell in zip(names, row[1:], strict=True):
            here: Any = load_target(name)
            for part in match[1].split("."):
                here = here.get(part) if isinstance(here, dict) else getattr(here, part, None)
            if isinstance(here, BaseModel):
                here = here.model_dump()
            if isinstance(here, (list, tuple)):
                assert [w.strip("`") for w in cell.split(", ") if w not in ("", "none")] == list(here), row
            else:
                assert cell.strip("`") == flow(here), (row, name, here)
            checked += 1
    assert checked > 30


def test_the_silences_page_has_all_forty() -> None:
    rows = [r for r in table_rows(DOCS / "explanation" / "silences.md") if r[0].isdigit()]
    assert [int(r[0]) for r in rows] == list(range(1, 41))
    assert all(len(r) == 3 and len(r[2]) > 4 for r in rows)


def test_every_code_that_is_named_exists() -> None:
    real = {*CODES, *RETIRED}
    for page in PAGES:
        for code in re.findall(r"\bIB[0-9]{3}\b", page.read_text()):
            assert code in real, f"{page.name}: there is no finding {code}"
