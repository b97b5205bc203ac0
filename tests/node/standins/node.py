#!/usr/bin/python3 -IS
"""Stand-ins of a node's commands for first boot, under the name each is called by: no cluster, but its marks on disk.

kubeadm refuses what the real one refuses (its own manifests, etcd's data, a kubelet.conf, a worker's ca.crt) and its
reset empties what the real one empties. Any other call than those that first boot is known to make ends with 99 and
is written to $WORLD/unexpected. $WORLD holds: calls; api (ours, foreign or absent); nodes/NAME (its labels); coredns;
pending (helm's lock); fail/KEY (text: the call fails with it); kill (KEY: everything is killed with -9 there, once).
"""

import os
import signal
import stat
import sys
import time
from pathlib import Path

ROOT, WORLD = Path(os.environ["IMGBUILD_ROOT"]), Path(os.environ["WORLD"])
ETC, RUN = ROOT / "etc/kubernetes", ROOT / "run/imgbuild"
KUBECTL = ["--kubeconfig", "--request-timeout", "10s"]
ROLE = '"node-role.kubernetes.io/control-plane"'


def main() -> int:
    name, words = Path(sys.argv[0]).name, sys.argv[1:]
    with (WORLD / "calls").open("a") as calls:
        calls.write(" ".join([name, *words]).replace(str(ROOT), "") + "\n")
    point(name)
    failing = WORLD / "fail" / name
    if failing.exists():
        print(failing.read_text(), file=sys.stderr)
        return 1
    return int({**COMMANDS, "kubeadm": kubeadm, "kubectl": kubectl}[name](words))


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
    return unexpected("kubeadm")


def in_use() -> list[str]:
    names = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd")
    found = [f"\t[ERROR FileAvailable-{name}.yaml]" for name in names if (ETC / f"manifests/{name}.yaml").exists()]
    etcd = ROOT / "var/lib/etcd"
    if etcd.exists() and any(etcd.iterdir()):
        found.append("\t[ERROR DirAvailable--var-lib-etcd]: /var/lib/etcd is not empty")
    return found


def control_plane(name: str) -> None:
    point("kubeadm certs")
    write(ETC / "pki/apiserver.key", "own")
    write(ETC / "admin.conf", "made")
    point("kubeadm kubeconfig")
    write(ETC / "manifests/etcd.yaml", "")
    write(ROOT / "var/lib/etcd/member/db", "")
    write(ETC / "manifests/kube-apiserver.yaml", "")
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
    control_plane("init")
    write(ETC / "kubelet.conf", "made")
    point("kubeadm kubelet-start")
    write(WORLD / "api", "ours")
    write(WORLD / "nodes/cp1", ROLE)
    point("kubeadm wait-control-plane")
    write(WORLD / "coredns", "")
    point("kubeadm addon")
    return 0


def join() -> int:
    text = config("kubeadm-join.yaml")
    role = (WORLD / "role").read_text()
    if (ETC / "kubelet.conf").exists() or (role == "worker" and (ETC / "pki/ca.crt").exists()):
        return error("\t[ERROR FileAvailable]: kubelet.conf or ca.crt is there")
    if "token: abcdef" not in text:
        return error("\t[ERROR Token]: the token is not known")
    name = (WORLD / "name").read_text()
    if role != "worker":
        if in_use():
            return error(*in_use())
        keys_are_there()
    write(ETC / "kubelet.conf", "made")
    write(ETC / "pki/ca.crt", "from the cluster")
    write(WORLD / "nodes" / name, "{}")
    point("kubeadm kubelet-start")
    if role != "worker":
        control_plane("join")
        write(WORLD / "nodes" / name, ROLE)
    point("kubeadm addon")
    return 0


def reset() -> int:
    """Asks the API for etcd's member list, then empties; the cluster that lived only here is gone."""
    for folder in (ETC / "manifests", ETC / "pki", ROOT / "var/lib/kubelet"):
        for file in sorted(folder.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        point(f"kubeadm reset {folder.name}")
    for file in ETC.glob("*.conf"):
        file.unlink()
    if (WORLD / "alone").exists():
        (WORLD / "api").unlink(missing_ok=True)
        (WORLD / "coredns").unlink(missing_ok=True)
        (WORLD / "nodes/cp1").unlink(missing_ok=True)
    return 0


def kubectl(words: list[str]) -> int:
    if [words[0], *words[2:4]] != KUBECTL:
        return unexpected("kubectl's first words")
    file, words = Path(words[1]), words[4:]
    if words[:1] == ["--server"]:
        if words[1] != "https://10.0.0.10:6443":
            return unexpected("server")
        words = words[2:]
    api = WORLD / "api"
    if not api.exists() or not file.exists():
        print("The connection to the server was refused - did you specify the right host or port?", file=sys.stderr)
        return 1
    if words == ["get", "--raw", "/livez"]:
        print("ok")
        return 0
    if words == ["get", "deployment", "coredns", "--namespace", "kube-system", "--output", "name"]:
        return there(WORLD / "coredns", 'deployments.apps "coredns"')
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
    wanted = ["--silent", "--show-error", "--noproxy", "*", "--max-time", "5", "--cacert",
              str(ROOT / "etc/imgbuild/pki/ca.crt"), "--output", "/dev/null",
              "https://10.0.0.10:6443/version"]  # fmt: skip
    if words != wanted:
        return unexpected("curl")
    api = WORLD / "api"
    wait = WORLD / "wait"
    if wait.exists():  # somebody else makes the cluster while this node waits
        left = int(wait.read_text())
        wait.write_text(str(left - 1))
        if left == 0:
            wait.unlink()
            api.write_text("ours")
    answer = api.read_text() if api.exists() else ""
    if answer == "ours":
        return 0
    refused = (
        f"Failed to connect to 10.0.0.10 port 6443 after {time.monotonic_ns() % 5000} ms: Couldn't connect to server"
    )
    print("curl: (60) SSL certificate problem" if answer else f"curl: (7) {refused}", file=sys.stderr)
    return 60 if answer else 7


def helm(words: list[str]) -> int:
    wanted = ["upgrade", "--install", "cilium", "--namespace", "kube-system", "--values",
              str(RUN / "cilium-values.yaml")]  # fmt: skip
    chart = [str(ROOT / "usr/share/imgbuild/charts/cilium-1.19.6.tgz")]
    if not Path(chart[0]).exists():
        chart, wanted = ["cilium", "--version", "1.19.6", "--repo", "https://helm.cilium.io"], wanted
    if [*words[:3], *words[3 : 3 + len(chart)], *words[3 + len(chart) :]] != [*wanted[:3], *chart, *wanted[3:]]:
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
        print("    prog/xdp id 9 name cil_xdp_entry" if words[4] == "eth0" else "")
        return 0
    if words == ["link", "set", "dev", "eth0", "xdp", "off"]:
        return 0
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
        print("2: eth0    inet 10.0.0.11/24 brd 10.0.0.255 scope global eth0\\       valid_lft forever")
        return 0
    return unexpected("ip")


def tc(words: list[str]) -> int:
    if words[:3] == ["filter", "show", "dev"]:
        print("filter protocol all cil_from_netdev" if words[3:] == ["eth0", "ingress"] else "")
        return 0
    return 0 if words == ["filter", "del", "dev", "eth0", "ingress"] else unexpected("tc")


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
    print(f"Stratum         : 3\nLeap status     : {step.read_text() if step.exists() else 'Normal'}")
    return 0 if words == ["-n", "tracking"] else unexpected("chronyc")


def systemctl(words: list[str]) -> int:
    stop = ["stop", "imgbuild-firstboot.timer", "imgbuild-firstboot.service"]
    return 0 if words in (["is-active", "--quiet", "containerd.service"], stop) else unexpected("systemctl")


def uname(words: list[str]) -> int:
    print((WORLD / "kernel").read_text())
    return 0 if words in (["-r"], ["-n"]) else unexpected("uname")


COMMANDS = {"curl": curl, "helm": helm, "ip": ip, "ctr": ctr, "chronyc": chronyc, "systemctl": systemctl,
            "tc": tc, "uname": uname}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
