#!/usr/bin/python3 -IS
"""Stand-ins of a node's commands for first boot, under the name each is called by: no cluster, but its marks on disk.

kubeadm refuses what the real one refuses (its own manifests, etcd's data, a kubelet.conf, a worker's ca.crt) and its
reset empties what the real one empties. Any other call than those that first boot is known to make ends with 99 and
is written to $WORLD/unexpected. $WORLD holds: calls; api (ours, foreign or absent); silent (the endpoint swallows
packets); nodes/NAME (its labels); system/ with objects of kube-system; members/ID (a URL of etcd's); no-quorum (etcd
does not answer); proxy (kubeadm installs kube-proxy); vip (it is on the card); pending (helm's lock); fail/KEY (text:
the call fails with it; a first line "N times" counts them); kill (KEY: all is killed with -9 there, once);
at/HOST:PORT (as api, and misnamed or expired, for another address than the cluster's endpoint).
"""

import email.utils
import json
import os
import re
import shutil
import signal
import stat
import sys
import time
from pathlib import Path

ROOT, WORLD = Path(os.environ["IMGBUILD_ROOT"]), Path(os.environ["WORLD"])
ETC, RUN = ROOT / "etc/kubernetes", ROOT / "run/imgbuild"
ETCD_PODS = "jsonpath={range .items[*]}{.metadata.annotations.kubeadm\\.kubernetes\\.io/etcd\\.advertise-client-urls}"
OWN, OTHER, THIRD = "10.0.0.11", "10.0.0.12", "10.0.0.13"
ENDPOINT = "10.0.0.10:6443"
KUBECTL = ["--kubeconfig", "--request-timeout", "10s"]
ROLE = '"node-role.kubernetes.io/control-plane"'


def main() -> int:
    name, words = Path(sys.argv[0]).name, sys.argv[1:]
    with (WORLD / "calls").open("a") as calls:
        calls.write(" ".join([name, *words]).replace(str(ROOT), "") + "\n")
    point(name)
    if fails(name):
        return 1
    return int({**COMMANDS, "kubeadm": kubeadm, "kubectl": kubectl}[name](words))


def fails(key: str) -> bool:
    """Whether this call is one of those that the test lets fail; it says why."""
    file = WORLD / "fail" / key
    if not file.exists():
        return False
    count, times, text = file.read_text().partition(" times\n")
    print(text if times else count, file=sys.stderr)
    if times and int(count) == 1:
        file.unlink()
    elif times:
        file.write_text(f"{int(count) - 1} times\n{text}")
    return True


def point(key: str) -> None:
    """Power may be cut here: everything of this session ends at once."""
    kill = WORLD / "kill"
    if not kill.exists() or kill.read_text() != key:
        return
    kill.unlink()
    leader = os.getsid(0)
    os.kill(leader, signal.SIGKILL)  # first, or it would see the others end
    for process in Path("/proc").glob("[0-9]*"):
        pid = int(process.name)
        try:
            if os.getsid(pid) == leader and pid not in (leader, os.getpid()):
                os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    os.kill(os.getpid(), signal.SIGKILL)


def unexpected(why: str) -> int:
    with (WORLD / "unexpected").open("a") as file:
        file.write(f"{sys.argv}: {why}\n")
    print(f"unexpected: {why}", file=sys.stderr)
    return 99


def write(path: Path, text: str, mode: int = 0o600) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def config(name: str) -> str:
    """A configuration that first boot laid: root's alone, and with the node's address in it."""
    file = RUN / name
    if stat.S_IMODE(file.stat().st_mode) != 0o600:
        unexpected(f"{name} has mode {file.stat().st_mode:o}")
    text = file.read_text()
    if "@NODE_IP@" in text:
        unexpected(f"@NODE_IP@ is left in {name}")
    return text


def keys_are_there() -> None:
    for file in (ROOT / "etc/imgbuild/pki").rglob("*.*"):
        copy = ETC / "pki" / file.relative_to(ROOT / "etc/imgbuild/pki")
        wanted = 0o600 if file.suffix == ".key" else 0o644
        if not copy.exists() or copy.read_bytes() != file.read_bytes() or stat.S_IMODE(copy.stat().st_mode) != wanted:
            unexpected(f"{copy} is no copy with mode {wanted:o}")


def error(*lines: str) -> int:
    print("error execution phase preflight: [preflight] Some fatal errors occurred:", *lines, sep="\n", file=sys.stderr)
    print("To see the stack trace of this error execute with --v=5 or higher", file=sys.stderr)
    return 1


def kubeadm(words: list[str]) -> int:
    if "phase" not in words and fails(f"kubeadm {words[0]}"):
        return 1
    if words == ["init", "--config", str(RUN / "kubeadm-init.yaml"), "--skip-token-print"]:
        return init()
    if words == ["join", "--config", str(RUN / "kubeadm-join.yaml")]:
        return join()
    if words == ["reset", "--force", "--cri-socket", "unix:///run/containerd/containerd.sock"]:
        return reset()
    if words[:4] == ["init", "phase", "kubeconfig", "admin"]:
        rest = dict(zip(words[4::2], words[5::2], strict=True))
        wanted = {"--cert-dir", "--kubeconfig-dir", "--control-plane-endpoint", "--apiserver-advertise-address",
                  "--kubernetes-version"}  # fmt: skip
        if set(rest) != wanted or not (Path(rest["--cert-dir"]) / "ca.key").exists():
            return unexpected("options")
        write(Path(rest["--kubeconfig-dir"]) / "admin.conf", "made")
        return 0
    if words[:4] == ["init", "phase", "certs", "etcd-healthcheck-client"]:
        rest = dict(zip(words[4::2], words[5::2], strict=True))
        folder = Path(rest.pop("--cert-dir"))
        if set(rest) != {"--kubernetes-version"} or not (folder / "etcd/ca.key").exists():
            return unexpected("options")
        for ending in ("crt", "key"):
            write(folder / f"etcd/healthcheck-client.{ending}", "made")
        return 0
    return unexpected("kubeadm")


def in_use() -> list[str]:
    names = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd")
    found = [f"\t[ERROR FileAvailable-{name}.yaml]" for name in names if (ETC / f"manifests/{name}.yaml").exists()]
    etcd = ROOT / "var/lib/etcd"
    if etcd.exists() and any(etcd.iterdir()):
        found.append("\t[ERROR DirAvailable--var-lib-etcd]: /var/lib/etcd is not empty")
    return found


def control_plane() -> None:
    point("kubeadm certs")
    for name in ("apiserver", "etcd/healthcheck-client"):
        write(ETC / f"pki/{name}.crt", "own", 0o644)
        write(ETC / f"pki/{name}.key", "own")
    write(ETC / "admin.conf", "made")
    point("kubeadm kubeconfig")
    write(ETC / "manifests/kube-apiserver.yaml", f"    - --advertise-address={OWN}\n")


def etcd() -> None:
    """A member more: first in etcd's list, then on this node's disk."""
    write(WORLD / "members/77", f"https://{OWN}:2380")
    point("kubeadm etcd member")
    write(ETC / "manifests/etcd.yaml", "")
    write(ROOT / "var/lib/etcd/member/db", "")
    point("kubeadm control-plane")


def init() -> int:
    text = config("kubeadm-init.yaml")
    if "kind: InitConfiguration" not in text:
        return unexpected("no InitConfiguration")
    if in_use():
        return error(*in_use())
    if (ROOT / "etc/imgbuild/pki").exists():
        keys_are_there()
    if (ROOT / "etc/imgbuild/kube-vip.yaml").exists() and not (ETC / "manifests/kube-vip.yaml").exists():
        return unexpected("no kube-vip")
    if (ETC / "manifests/kube-vip.yaml").exists():
        write(WORLD / "vip-at-init", (ETC / "manifests/kube-vip.yaml").read_text())
    control_plane()
    etcd()
    write(ETC / "kubelet.conf", "made")
    point("kubeadm kubelet-start")
    write(WORLD / "api", "ours")
    write(WORLD / "nodes/cp1", ROLE)
    point("kubeadm wait-control-plane")
    write(WORLD / "system/deployment/coredns", "")
    point("kubeadm coredns")
    write(WORLD / "system/service/kube-dns", "")
    point("kubeadm addon")
    if (WORLD / "proxy").exists():
        write(WORLD / "system/daemonset/kube-proxy", "")
        point("kubeadm kube-proxy")
        write(WORLD / "system/rolebinding/kube-proxy", "")
    return 0


def join() -> int:
    text = config("kubeadm-join.yaml")
    role = (WORLD / "role").read_text()
    if (ETC / "kubelet.conf").exists() or (role == "worker" and (ETC / "pki/ca.crt").exists()):
        return error("\t[ERROR FileAvailable]: kubelet.conf or ca.crt is there")
    if "token: abcdef" not in text:
        words = 'could not find a JWS signature in the cluster-info ConfigMap for token ID "oldold"'
        print(f"error execution phase preflight: couldn't validate the identity of the API Server: {words}",
              file=sys.stderr)  # fmt: skip
        return 1
    name = (WORLD / "name").read_text()
    if role != "worker":
        if in_use():
            return error(*in_use())
        keys_are_there()
    # The kubelet writes it at once, and its certificate later.
    write(ETC / "kubelet.conf", "no certificate")
    point("kubeadm kubelet-bootstrap")
    if role != "worker":
        if (WORLD / "members/77").exists() and (WORLD / "members/77").read_text().endswith(" data"):
            return error("etcd: tocommit is out of range [lastIndex(0)]: a member whose data are gone")
        control_plane()
        etcd()  # it has voted by the time that the Node is known
        write(WORLD / "members/77", f"https://{OWN}:2380 data")
        point("kubeadm etcd")
    write(ETC / "kubelet.conf", "made")
    write(ETC / "pki/ca.crt", "from the cluster")
    write(WORLD / "nodes" / name, "{}")
    point("kubeadm kubelet-start")
    if role != "worker":
        write(WORLD / "nodes" / name, ROLE)
    point("kubeadm addon")
    return 0


def reset() -> int:
    """Empties; the cluster that lived only here is gone. etcd's member it removes only of a Node that is known."""
    known = (WORLD / "nodes" / (WORLD / "name").read_text()).exists()
    if known and (ETC / "kubelet.conf").exists() and not (WORLD / "alone").exists():
        (WORLD / "members/77").unlink(missing_ok=True)
    for folder in (ETC / "manifests", ETC / "pki", ROOT / "var/lib/kubelet"):
        for file in sorted(folder.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        point(f"kubeadm reset {folder.name}")
    for file in ETC.glob("*.conf"):
        file.unlink()
    if (WORLD / "alone").exists():
        (WORLD / "api").unlink(missing_ok=True)
        shutil.rmtree(WORLD / "system", ignore_errors=True)
        shutil.rmtree(WORLD / "members", ignore_errors=True)
        (WORLD / "nodes/cp1").unlink(missing_ok=True)
    return 0


def kubectl(words: list[str]) -> int:
    if [words[0], *words[2:4]] != KUBECTL:
        return unexpected("kubectl's first words")
    file, words = Path(words[1]), words[4:]
    if words[:1] == ["--server"]:
        own = [f"https://{OWN}:6443"] if nat() or (WORLD / "role").read_text() == "init" else []
        if words[1] not in ("https://10.0.0.10:6443", f"https://{OTHER}:6443", *own):
            return unexpected("server")
        words = words[2:]
    api = WORLD / "api"
    if not api.exists() or not file.exists():
        print("The connection to the server was refused - did you specify the right host or port?", file=sys.stderr)
        return 1
    if file.read_text() == "no certificate":
        pem = "/var/lib/kubelet/pki/kubelet-client-current.pem for default-auth due to open: no such file or directory"
        print(f"error: invalid configuration: [unable to read client-cert {pem}\n* unable to read client-key {pem}]",
              file=sys.stderr)  # fmt: skip
        return 1
    if words == ["get", "--raw", "/livez"]:
        print("ok")
        return 0
    if words[0] == "get" and words[-4:] == ["--namespace", "kube-system", "--output", "name"]:
        names = words[1:-4] if "/" in words[1] else ["/".join(words[1:-4])]
        return max(there(WORLD / "system" / name, name) for name in names)
    if words[:6] == ["get", "pods", "--namespace", "kube-system", "--selector", "component=etcd,tier=control-plane"]:
        if words[6] != "--output" or not words[7].startswith(ETCD_PODS):
            return unexpected("etcd's pods")
        kubelet = ETC / "kubelet.conf"
        pods = [OWN] if kubelet.exists() and kubelet.read_text() == "made" else []
        pods += [] if (WORLD / "alone").exists() else [OTHER]
        print("".join(f"https://{host}:2379 " for host in pods), end="")
        return 0
    if words[:3] == ["delete", "secret", "--namespace"]:
        selector = "owner=helm,name=cilium,status in (pending-install,pending-upgrade,pending-rollback)"
        if words[3:] != ["kube-system", "--selector", selector]:
            return unexpected("selector")
        (WORLD / "pending").unlink(missing_ok=True)
        return 0
    node = WORLD / "nodes" / words[2]
    if words[:2] == ["delete", "node"] and words[3:] == ["--ignore-not-found"]:
        node.unlink(missing_ok=True)
        return 0
    if words[:2] == ["get", "node"] and words[3] == "--ignore-not-found":
        words.pop(3)
        if not node.exists():
            return 0
    if words[:2] != ["get", "node"] or words[3] != "--output":
        return unexpected("kubectl")
    code = there(node, f'nodes "{words[2]}"')
    if code == 0:
        print({"name": f"node/{words[2]}", "jsonpath={.metadata.labels}": node.read_text()}[words[4]])
    return code


def there(file: Path, what: str) -> int:
    if not file.exists():
        print(f"Error from server (NotFound): {what} not found", file=sys.stderr)
    return 0 if file.exists() else 1


def curl(words: list[str]) -> int:
    """Who answers at an address: by the CA and the host's name, or with --resolve by the name kubernetes."""
    wanted = ["--silent", "--show-error", "--noproxy", "*", "--max-time", "5", "--cacert",
              str(ROOT / "etc/imgbuild/pki/ca.crt"), "--output", "/dev/null"]  # fmt: skip
    if "--data" in words:
        return gateway(words)
    if "--insecure" in words:  # what time is it there?
        head = ["--silent", "--insecure", "--noproxy", "*", "--max-time", "5", "--dump-header", "-", "--output"]
        if words not in ([*head, "/dev/null", f"https://{place}/version"] for place in (ENDPOINT, f"{OWN}:6443")):
            return unexpected("curl --insecure")
        ahead = WORLD / "server-ahead"  # by so many seconds, one line for each question
        lines = ahead.read_text().split() if ahead.exists() else []
        if lines:
            ahead.write_text("\n".join(lines[1:] or lines))
            date = email.utils.formatdate(time.time() + int(lines[0]), usegmt=True)
            print(f"HTTP/1.1 200 OK\r\ndate: {date}\r\n\r")
        return 0
    at, by_ca = words[-1].removeprefix("https://").removesuffix("/version"), False
    if "--resolve" in words:
        name, port, host = words[-2].split(":")
        if (name, at, words[-3]) != ("kubernetes", f"kubernetes:{port}", "--resolve"):
            return unexpected("curl --resolve")
        words, at, by_ca = [*words[:-3], words[-1]], f"{host}:{port}", True
    if words != [*wanted, words[-1]]:
        return unexpected("curl")
    kubelet = ETC / "kubelet.conf"
    running = (ETC / "manifests/etcd.yaml").exists() and kubelet.exists() and kubelet.read_text() == "made"
    if at == "127.0.0.1:6443" and by_ca:
        return answered("ours" if running else "", at, by_ca)
    led = re.findall(r"--to-destination (\S+)", nat())
    if at == f"{OWN}:6443" and (led or running):
        if not led:
            return 0
        at = led[0]
    if at not in (ENDPOINT, *(f"{host}:6443" for host in (OTHER, THIRD))):
        return unexpected("curl")
    api = WORLD / "api" if at == ENDPOINT else WORLD / "at" / at
    wait = WORLD / "wait"
    if wait.exists() and at == ENDPOINT:  # somebody else makes the cluster while this node waits
        left = int(wait.read_text())
        wait.write_text(str(left - 1))
        if left == 0:
            wait.unlink()
            api.write_text("ours")
    return answered(api.read_text() if api.exists() else "", at, by_ca)


def answered(answer: str, at: str, by_ca: bool) -> int:
    """curl's words and code. Built with NSS it has another code for a name that does not fit (file nss)."""
    host = at.partition(":")[0]
    problem, own = "curl: (60) SSL certificate problem: ", 51 if (WORLD / "nss").exists() else 60
    refused = f"Failed to connect to {host} port 6443 after {time.monotonic_ns() % 5000} ms: Couldn't connect to server"
    if answer == "ours" or (answer == "misnamed" and by_ca):
        return 0
    if answer == "" and (WORLD / "silent").exists():
        answer = "silent"
    code, text = {
        "": (7, f"curl: (7) {refused}"),
        "silent": (28, "curl: (28) Connection timed out after 5001 milliseconds"),
        "unknown": (6, f"curl: (6) Could not resolve host: {host}"),
        "foreign": (60, f"{problem}unable to get local issuer certificate"),
        "expired": (60, f"{problem}certificate has expired"),
        "misnamed": (own, f"curl: ({own}) SSL: no alternative certificate subject name matches target host name"),
    }[answer]
    print(text, file=sys.stderr)
    return code


def gateway(words: list[str]) -> int:
    """etcd's JSON gateway on another control plane (etcd 3.6.5's words)."""
    folder = Path(words[words.index("--cacert") + 1]).parent
    files = [str(folder / name) for name in ("ca.crt", "healthcheck-client.crt", "healthcheck-client.key")]
    head = ["--silent", "--show-error", "--noproxy", "*", "--max-time", "10"]
    head += [word for pair in zip(("--cacert", "--cert", "--key"), files, strict=True) for word in pair]
    if words[:-3] != head or words[-3] != "--data" or not all(Path(file).exists() for file in files):
        return unexpected("etcd's gateway")
    if (WORLD / "no-quorum").exists():
        print('{"code":14,"message":"etcdserver: request timed out"}', end="")
        return 0
    call, data = words[-1].removeprefix(f"https://{OTHER}:2379/v3/cluster/member/"), json.loads(words[-2])
    if call == "remove":
        (WORLD / "members" / data["ID"]).unlink()
    elif call != "list" or data:
        return unexpected("etcd's gateway")
    listed: list[dict[str, object]] = [
        {"ID": "8", "name": "cp9", "peerURLs": [f"https://{OTHER}:2380"], "clientURLs": [f"https://{OTHER}:2379"]}
    ]
    for file in (WORLD / "members").glob("*"):
        listed.append({"ID": file.name, "peerURLs": [file.read_text().split()[0]], "isLearner": True})
    header = {"cluster_id": "1", "member_id": "8", "revision": "3", "raft_term": "2"}
    print(json.dumps({"header": header, "members": listed}, separators=(",", ":")), end="")
    return 0


def helm(words: list[str]) -> int:
    if fails(f"helm {words[0]}"):
        return 1
    if words[0] == "pull":
        folder = RUN / "chart"
        wanted = ["cilium", "--version", "1.19.6", "--repo", "https://helm.cilium.io", "--destination", str(folder)]
        if words[1:] != wanted or list(folder.iterdir()):
            return unexpected("helm pull")
        write(folder / "cilium-1.19.6.tgz", "")
        return 0
    rest = ["--namespace", "kube-system", "--values", str(RUN / "cilium-values.yaml")]
    charts = [path / "cilium-1.19.6.tgz" for path in (ROOT / "usr/share/imgbuild/charts", RUN)]
    chart = next((str(path) for path in charts if path.exists()), "")
    if words == ["template", "cilium", chart, *rest]:
        return 0
    if words != ["upgrade", "--install", "cilium", chart, *rest]:
        return unexpected("helm")
    if os.environ.get("KUBECONFIG") != str(ETC / "admin.conf"):
        return unexpected("KUBECONFIG")
    config("cilium-values.yaml")
    if (WORLD / "pending").exists():
        print("Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress", file=sys.stderr)
        return 1
    write(WORLD / "pending", "")
    point("helm half")
    (WORLD / "pending").unlink()
    write(WORLD / "cilium", "")
    return 0


def ip(words: list[str]) -> int:
    if words[:3] == ["link", "delete", "dev"] and (ROOT / "sys/class/net" / words[3]).exists():
        return 0
    if words[:4] == ["-details", "link", "show", "dev"]:
        attached = words[4] == "eth0" and not (WORLD / "xdp").exists()
        print(f"2: {words[4]}: <UP> mtu 1500{' xdp' if attached else ''} qdisc mq state UP")
        print("    prog/xdp id 9 name cil_xdp_entry" if attached else "")
        return 0
    if words == ["link", "set", "dev", "eth0", "xdp", "off"]:
        (WORLD / "xdp").touch()
        return 0
    if words[:1] in (["-4"], ["-6"]) and words[1:] in (["rule", "show"], ["route", "show"]):
        print("0:\tfrom all lookup local" if words[1] == "rule" else "default via 10.0.0.1 dev eth0 proto static")
        return 0
    if words[:1] in (["-4"], ["-6"]) and words[1:4] == ["route", "show", "table"]:
        return 0
    if words[:6] == ["-o", "-4", "address", "show", "scope", "global"] and words[6:7] == ["dev"]:
        lines = (WORLD / "cards").read_text().splitlines() if (WORLD / "cards").exists() else []
        here = [line for line in lines if line.split()[1] == words[7]]
        print("".join(f"{line}\n" for line in here), end="")
        return 0 if here else 1
    if (WORLD / "addresses").exists():  # a network without a router
        if words == ["-o", "-4", "route", "get", "192.0.2.1"]:
            print("RTNETLINK answers: Network is unreachable", file=sys.stderr)
            return 2
        if words == ["-o", "-4", "address", "show", "scope", "global"]:
            print((WORLD / "addresses").read_text(), end="")
            return 0
    elif words == ["-o", "-4", "address", "show", "scope", "global"]:
        return unexpected("ip: there is a default route")
    if words == ["-o", "-4", "route", "get", "192.0.2.1"]:
        print("192.0.2.1 via 10.0.0.1 dev eth0 src 10.0.0.11 uid 0 \\    cache ")
        return 0
    if words == ["-o", "address", "show"]:
        print("1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever")
        print("2: eth0    inet 10.0.0.11/24 brd 10.0.0.255 scope global eth0\\       valid_lft forever")
        for number, card in enumerate(sorted((ROOT / "sys/class/net").glob("eth[1-9]*")), 3):
            print(
                f"{number}: {card.name}    inet 10.0.{number}.11/24 scope global {card.name}\\       valid_lft forever"
            )
        if (WORLD / "vip").exists():
            print("2: eth0    inet 10.0.0.10/32 scope global eth0\\       valid_lft forever preferred_lft forever")
        return 0
    if words[:4] == ["-o", "link", "show", "dev"] and len(words) == 5:
        print(f"2: {words[4]}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP\\    link/ether x brd x")
        return 0
    if words == ["address", "delete", "10.0.0.10/32", "dev", "eth0"] and (WORLD / "vip").exists():
        (WORLD / "vip").unlink()
        return 0
    return unexpected("ip")


def nat() -> str:
    return (WORLD / "nat").read_text() if (WORLD / "nat").exists() else ""


def iptables(words: list[str]) -> int:
    """The chain OUTPUT of nat: rules of this node's own packets to its own address."""
    if words[:3] != ["-w", "-t", "nat"]:
        return unexpected("iptables")
    if words[3:] == ["-S", "OUTPUT"]:
        print("-P OUTPUT ACCEPT", *nat().splitlines(), sep="\n")
        return 0
    rule = f"-A OUTPUT -d {OWN}/32 -p tcp -m tcp --dport 6443 -m comment --comment imgbuild_endpoint -j DNAT "
    if words[3] == "-D":
        if f"-A {' '.join(words[4:])}\n" != nat():
            return unexpected("iptables -D")
        (WORLD / "nat").unlink()
        return 0
    wanted = f"OUTPUT -d {OWN} -p tcp --dport 6443 -m comment --comment imgbuild_endpoint -j DNAT --to-destination"
    if words[3] != "-A" or " ".join(words[4:-1]) != wanted or nat():
        return unexpected("iptables -A")
    (WORLD / "nat").write_text(f"{rule}--to-destination {words[-1]}\n")
    return 0


def ip6tables(words: list[str]) -> int:
    return 0 if words == ["-w", "-t", "nat", "-S", "OUTPUT"] else unexpected("ip6tables")


def tc(words: list[str]) -> int:
    """One filter of Cilium's, as tc of iproute2 6.1 shows it (all else: test_leave_cilium.py)."""
    gone = WORLD / "filter"
    place = ["filter", "delete", "dev", "eth0", "ingress", "protocol", "all", "pref", "1", "handle", "0x1", "bpf"]
    if words[:3] == ["filter", "show", "dev"]:
        if words[3:] == ["eth0", "ingress"] and not gone.exists():
            print("filter protocol all pref 1 bpf chain 0 ")
            print("filter protocol all pref 1 bpf chain 0 handle 0x1 cil_from_netdev-eth0 direct-action not_in_hw id 9")
        return 0
    if words == place:
        gone.touch()
        return 0
    return 0 if words == ["qdisc", "delete", "dev", "eth0", "clsact"] else unexpected("tc")


def saved(words: list[str]) -> int:
    """Nothing of Cilium's in it."""
    if words:
        return unexpected("iptables-save")
    print("*filter\n:INPUT ACCEPT [0:0]\n:MINE - [0:0]\nCOMMIT")
    return 0


def ipset(words: list[str]) -> int:
    return 1 if words[:2] == ["list", "-name"] else unexpected("ipset")


def ctr(words: list[str]) -> int:
    if words == ["version"]:
        return 0
    if words == ["-n", "k8s.io", "images", "import", "-"]:
        data = sys.stdin.buffer.read()
        with (WORLD / "images").open("ab") as out:
            out.write(data)
        return 0 if data.startswith(b"tar ") else 1  # containerd 1's takes no gzip: "unexpected EOF"
    return unexpected("ctr")


def chronyc(words: list[str]) -> int:
    step = WORLD / "clock"
    if words == ["-n", "sources"]:
        print("MS Name/IP address         Stratum Poll Reach LastRx Last sample\n" + "=" * 79)
        reach = (WORLD / "reach").read_text()
        print(f"^? 192.0.2.1                     0   6     {reach}     -     +0ns[   +0ns] +/-    0ns")
        return 0
    left, times, rest = step.read_text().partition(" times\n") if step.exists() else ("Normal", "", "")
    if times:  # so often it is not in step
        step.write_text(f"{int(left) - 1} times\n{rest}" if int(left) > 1 else "Normal")
    print(f"Stratum         : 3\nLeap status     : {rest if times else left}")
    return 0 if words == ["-n", "tracking"] else unexpected("chronyc")


def ps(words: list[str]) -> int:
    if words != ["-C", "chronyd", "-o", "etimes="]:
        os.execv("/bin/ps", ["ps", *words])  # noqa: S606 - the test's own sleep asks it
    print((WORLD / "chronyd").read_text())
    return 0


def crictl(words: list[str]) -> int:
    """kube-vip's container, where there is one: two looks after its manifest has changed it is another."""
    if words != ["ps", "--name", "^kube-vip$", "--state", "Running", "--quiet"]:
        return unexpected("crictl")
    if (WORLD / "pods").exists():
        looks = WORLD / "looks"
        count = len(looks.read_text()) if looks.exists() else 0
        write(looks, "x" * (count + 1))
        print("" if count == 1 else "new" if count > 2 else "old")
    return 0


def systemctl(words: list[str]) -> int:
    stop = ["stop", "imgbuild-firstboot.timer", "imgbuild-firstboot.service", "imgbuild-upkeep.service"]
    mounted = WORLD / "disks-mounted"  # imgbuild-disks.service
    if words == ["is-active", "--quiet", "imgbuild-disks.service"]:
        return 0 if mounted.exists() else 3
    if words == ["start", "imgbuild-disks.service"]:
        mounted.touch()
        return 0
    if words[:2] == ["is-enabled", "--quiet"]:
        return 1 if "stargz" in words[2] else 0
    if words[:2] == ["start", "--no-block"] and mounted.exists():
        return 0
    return 0 if words in (["is-active", "--quiet", "containerd.service"], stop) else unexpected("systemctl")


def uname(words: list[str]) -> int:
    print((WORLD / "kernel").read_text())
    return 0 if words in (["-r"], ["-n"]) else unexpected("uname")


TABLES = [f"{family}{way}-save" for family in ("iptables", "ip6tables") for way in ("", "-nft", "-legacy")]
SAVES = dict.fromkeys(TABLES, saved)
COMMANDS = {**SAVES, "ipset": ipset, "curl": curl,
            "helm": helm, "ip": ip, "ctr": ctr, "chronyc": chronyc, "ps": ps, "systemctl": systemctl,
            "tc": tc, "uname": uname, "crictl": crictl, "iptables": iptables, "ip6tables": ip6tables}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
