"""`make bench`: the figures that issues set, measured on this machine. Times are medians of paired runs.

Figures are printed with their bound; a missed bound ends with 1. None of this is a test: machines are noisy.
"""

from __future__ import annotations

import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from imgbuild.config.profile.extras import Format
from imgbuild.config.secrets import make
from imgbuild.diagnostics.progress import PlainSteps
from imgbuild.facts.formats import FORMATS
from imgbuild.image.assemble import assemble
from imgbuild.image.cache import default_cache
from imgbuild.image.disk.layout import disk_layout
from imgbuild.image.formats.write import write_files
from imgbuild.image.rootfs.build import build_rootfs
from imgbuild.machine import MachineSpec, boot
from imgbuild.machine.report import Message
from imgbuild.machine.times import parse_times
from imgbuild.render.nodefile import NodeTree
from tests import bench_cold, bench_install, bench_serve, bench_store
from tests.integration.cluster.test_firstboot import FIRSTBOOT, lay, of
from tests.integration.cluster.test_firstboot import boot as power_on
from tests.support.cluster.made import make_image as make_node_image
from tests.support.cluster.nodes import ground
from tests.support.cluster.programs import KUBERNETES
from tests.support.cluster.standins.pack import pack
from tests.support.el.made import build, make_image
from tests.support.image.plan import DEBIAN, KERNEL_ARGS, image_files, shared_plan

IMGBUILD = str(Path(sys.executable).with_name("imgbuild"))
LAYERS = ("--layer", "distro-containerd", "--layer", "container-host")
# The qcow2 of stock diskimage-builder, same packages: see docs/explanation/figures.md for how it was made.
STOCK_QCOW2_BYTES: int | None = 383_346_176  # 2026-11-23


@dataclass(frozen=True)
class Figure:
    """One measured number and the bound it must stay under."""

    name: str
    found: float
    bound: float
    unit: str

    @property
    def ok(self) -> bool:
        return self.found < self.bound

    def __str__(self) -> str:
        mark = "ok    " if self.ok else "MISSED"
        return f"{mark} {self.name}: {self.found:.2f} {self.unit} (bound {self.bound:g} {self.unit})"


def seconds(command: Sequence[str]) -> float:
    """Wall time of one whole process."""
    start = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - start


def median(measure: Callable[[], float], runs: int) -> float:
    return statistics.median(measure() for _ in range(runs))


@dataclass(frozen=True)
class Usage:
    """What one whole process took: wall and processor time outside and in the kernel (s), peak memory (MB)."""

    wall: float
    user: float
    system: float
    peak: float

    def __str__(self) -> str:
        inside = f"{self.user:.1f} s outside and {self.system:.1f} s in the kernel"
        return f"{self.wall:.1f} s, processor {inside}, {self.peak:.0f} MB"


def measured(command: Sequence[str]) -> Usage:
    start = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    took = time.monotonic() - start
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Usage(took, usage.ru_utime, usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)


def peak(command: Sequence[str]) -> float:
    """The most memory that a process and those it forks have together (MB). A page that they share counts once."""
    most = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            forked = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            with suppress(OSError):  # one of them has ended
                pids = [process.pid, *forked.read_text().split()]
                rows = [Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() for pid in pids]
                most = max(most, sum(int(line.split()[1]) for row in rows for line in row if line.startswith("Pss:")))
            time.sleep(0.01)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    return most * 1024 / 1e6


def cluster_file(count: int) -> str:
    """A cluster of ``count`` nodes with static addresses, five of them control planes behind a vip."""
    nodes = [
        f"  - name: node{n}\n    role: {'control-plane' if n < 5 else 'worker'}\n    network:\n      interfaces:\n"
        f'        - name: eth0\n          mac: "52:54:00:00:{n >> 8:02x}:{n & 255:02x}"\n'
        f"          addresses: [10.9.{1 + n // 250}.{1 + n % 250}/16]\n          gateway: 10.9.0.1\n"
        "      dns: [10.9.0.2]\n"
        for n in range(count)
    ]
    return "name: big\nvip: {address: 10.9.0.5}\nnodes:\n" + "".join(nodes)


def clusters() -> list[Figure]:
    """All seeds of a big cluster; pods get a network that has a /24 for every node.

    Nothing is deleted before the last run: an ext4 without a journal is slow at new files for a minute after.
    """
    options = ["--profile", "debian12-efi", "--set", "kubernetes.pod_cidr=10.32.0.0/11"]
    found: dict[int, list[Usage]] = {}
    peaks: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as name:
        for count, runs in ((1000, 3), (2000, 1), (5000, 1)):
            place = Path(name) / f"big{count}.yaml"
            place.write_text(cluster_file(count))
            for run in range(runs):
                output = ["--no-image", "--output", f"{name}/{count}-{run}"]
                found.setdefault(count, []).append(measured([IMGBUILD, *options, "--cluster", str(place), *output]))
                print(f"       {count} nodes: {found[count][-1]}")
            again = [IMGBUILD, *options, "--cluster", str(place), "--no-image", "--output", f"{name}/{count}-memory"]
            peaks[count] = peak(again)
            print(f"       {count} nodes, all processes: {peaks[count]:.0f} MB")
        checked = measured([IMGBUILD, "check", *options, "--cluster", f"{name}/big1000.yaml"])
        place = Path(name) / "stock.yaml"
        place.write_text(cluster_file(100))
        stock = [*options, "--mode", "stock", "--cluster", str(place), "--no-image", "--output", f"{name}/stock"]
        print(f"       100 stock nodes: {measured([IMGBUILD, *stock])}")
    wall, user = (statistics.median(getattr(usage, what) for usage in found[1000]) for what in ("wall", "user"))
    return [
        Figure("all seeds of 1,000 nodes, baked", wall, 1.5, "s"),
        Figure("all seeds of 1,000 nodes, baked, peak memory of both processes", peaks[1000], 300.0, "MB"),
        Figure("all seeds of 5,000 nodes, baked, peak memory of both processes", peaks[5000], 300.0, "MB"),
        Figure("2,000 nodes against 1,000, processor time", found[2000][0].user / user, 2.2, "times"),
        Figure("5,000 nodes against 1,000, processor time", found[5000][0].user / user, 5.5, "times"),
        Figure("imgbuild check of 1,000 nodes", checked.wall, 5.0, "s"),
    ]


def starts(runs: int = 7) -> list[Figure]:
    """Processor time of short commands against a process that only imports their libraries, in turn.

    A ratio is comparable on a busy machine too.
    """
    bare = [sys.executable, "-c", "import click, jinja2, pydantic, yaml"]
    out = []
    for name, words, bound in (("check", ["check", "--profile", "debian12-efi"], 5.0), ("--help", ["--help"], 0.8)):
        command = [IMGBUILD, *words]
        seconds(command)
        pairs = [(measured(command), measured(bare)) for _ in range(runs)]
        least = min(usage.user + usage.system for usage, _ in pairs)
        ratio = statistics.median((a.user + a.system) / (b.user + b.system) for a, b in pairs)
        print(f"       imgbuild {name}: {least:.2f} s of processor time")
        if name == "check":
            wall = statistics.median(usage.wall for usage, _ in pairs)
            out.append(Figure("imgbuild check of a profile, whole process", wall, 0.3, "s"))
        out.append(Figure(f"imgbuild {name}, processor time against bare imports", ratio, bound, "times"))
    return out


def figures() -> Iterator[Figure]:
    """Each as soon as it is measured. Absolute times come first, then the long paired runs."""
    yield from clusters()
    yield from starts()
    with tempfile.TemporaryDirectory() as name:
        yield rendered(name)
        first = [IMGBUILD, "--profile", "debian12-efi", *LAYERS, "--output", name]
        begun = seconds([*first, "--fresh"])
        print(f"       debian12-efi with a new root file system: {begun:.0f} s")
        yield from second_images(Path(name))
        size = next(Path(name).glob("debian12-efi/image/*.qcow2")).stat().st_size
        print(f"       debian12-efi.qcow2: {size / 2**20:.1f} MiB")
        if STOCK_QCOW2_BYTES is not None:
            yield Figure("qcow2, as part of stock diskimage-builder's", size / STOCK_QCOW2_BYTES, 1.0, "")
    yield own_work()
    yield installing()
    yield from stored()
    yield from sent()
    yield from centos()
    yield emulated_boot()
    yield from cold()
    conversions()


def rendered(output: str) -> Figure:
    """The tree of a profile without an image; printed beside it, how many times a process that only imports."""
    render = [IMGBUILD, "--profile", "centos7-efi", "--no-image", "--output", output]
    bare = [sys.executable, "-c", "import click, jinja2, pydantic, yaml"]
    seconds(render)
    pairs = [(seconds(render), seconds(bare)) for _ in range(7)]
    ratio = statistics.median(r / b for r, b in pairs)
    print(f"       ... {ratio:.1f} times a process that only imports click, jinja2, pydantic and yaml")
    return Figure("centos7-efi --no-image, whole process", statistics.median(r for r, _ in pairs), 1.0, "s")


def sent() -> list[Figure]:
    """A large file from `imgbuild serve`, against nginx: at least 0.7 of its throughput."""
    out = []
    for machines in (1, 8):
        shares, rates = bench_serve.throughput(machines)
        print(f"       a file of 512 MiB to {machines} at once: {rates}")
        name = f"nginx's throughput by that of imgbuild serve, {machines} at once"
        out.append(Figure(name, 1 / statistics.median(shares), 1 / 0.7, "times"))
    return out


def cold() -> list[Figure]:
    """A new root file system, and a whole image, from empty caches, beside others that install the same packages."""
    bounds = {"mmdebstrap": 0.65, "diskimage-builder": 0.3}
    out = []
    for share in bench_cold.against_peers():
        print(f"       a new {share.what}: {share.own:.0f} s, with {share.peer} {share.others:.0f} s")
        name = f"a new {share.what}, against {share.peer}"
        if share.peer in bounds:
            out.append(Figure(name, share.times, bounds[share.peer], "times"))
    return out


def second_images(output: Path, runs: int = 3) -> list[Figure]:
    """Another firmware, and a changed setting, from the cached file system: zstd with a bound, zlib printed."""
    out = []
    for form in ("qcow2-zstd", "qcow2"):
        for what, profile in (("other firmware", "debian12-bios"), ("a changed sysctl", "debian12-efi")):
            command = [IMGBUILD, "--profile", profile, *LAYERS, "--output", str(output), "--set"]
            command += [f"image.formats=[{form}]", "--set"]
            seconds([*command, 'kernel.sysctl."vm.swappiness"=10'])  # the first of a form compresses what is kept
            usages = [measured([*command, f'kernel.sysctl."vm.swappiness"={11 + run}']) for run in range(runs)]
            print(f"       second image, {what}, {form}: {min(usages, key=lambda usage: usage.wall)}")
            if form == "qcow2-zstd":
                wall = statistics.median(usage.wall for usage in usages)
                out.append(Figure(f"second image, {what}, {form}, from the cached file system", wall, 3.0, "s"))
    return out


def installing() -> Figure:
    """An installation against qemu-img of the same image, its download and its hash, to the same disk."""
    rootfs = build_rootfs(shared_plan(), default_cache(), PlainSteps(sys.stderr))
    with tempfile.TemporaryDirectory() as name:
        place, quiet = Path(name), PlainSteps(io.StringIO())
        raw = image_files(place / "raw", formats=("raw",))
        layout = disk_layout(rootfs.key, "bios", 4096, DEBIAN)
        assemble(rootfs, layout, NodeTree(), KERNEL_ARGS, raw, place / "work", quiet)
        found = bench_install.against_qemu(raw.path("raw"), layout, place)
    return Figure("installing on a disk, against qemu-img with its download and a sha256", found, 1.2, "times")


def stored() -> list[Figure]:
    """Files into the store, and a fetch that finds them there."""
    times, synced, peak = bench_store.rate()
    return [
        Figure("one file of 1 GiB from loopback into the store, against curl", times, 1.25, "times"),
        Figure("the same, against curl and a sync of its file", synced, 1.25, "times"),
        Figure("the same, peak memory", peak, 60.0, "MB"),
        Figure("a fetch that finds 100 files in the store, whole process", bench_store.warm(), 1.0, "s"),
    ]


def conversions(forms: Sequence[Format] = tuple(FORMATS), runs: int = 1) -> None:
    """Each form of one disk on its own, paired with qcow2: wall and processor time, size. Printed, without a bound."""
    rootfs = build_rootfs(shared_plan(), default_cache(), PlainSteps(sys.stderr))
    with tempfile.TemporaryDirectory() as name:
        place, quiet = Path(name), PlainSteps(io.StringIO())
        raw = image_files(place / "raw", formats=("raw",))
        layout = disk_layout(rootfs.key, "efi", 4096, DEBIAN)
        assemble(rootfs, layout, NodeTree(), KERNEL_ARGS, raw, place / "work", quiet)

        def once(form: Format) -> tuple[float, float, int]:
            files = image_files(place / "made", formats=(form,))
            begun, before = time.monotonic(), processor()
            write_files(raw.path("raw"), files, place / "work", 0, quiet)
            took = time.monotonic() - begun, processor() - before
            size = files.path(form).stat().st_blocks * 512
            files.path(form).unlink()
            return *took, size

        for form in forms:
            pairs = [(once(form), once("qcow2")) for _ in range(runs)]
            wall, cpu = (statistics.median(pair[0][what] for pair in pairs) for what in (0, 1))
            ratio = statistics.median(pair[0][0] / pair[1][0] for pair in pairs)
            size = pairs[0][0][2] / 1e6
            print(f"       {form}: {wall:.1f} s, {ratio:.2f} of qcow2's, processor {cpu:.1f} s, {size:.0f} MB")


def processor() -> float:
    """Seconds of processor time so far, of this process and those that it waited for."""
    usage = os.times()
    return usage.user + usage.system + usage.children_user + usage.children_system


def centos() -> list[Figure]:
    """From the tests' stand-in base and packages: what they weigh is not what CentOS' own do."""
    rootfs = build_rootfs(shared_plan(), default_cache(), PlainSteps(sys.stderr))
    with tempfile.TemporaryDirectory() as name, make_image(rootfs, "8", "efi", Path(name)) as made:
        begun = time.monotonic()
        build(made.world, "bios", Path(name))
        took = time.monotonic() - begun
    return [Figure("centos8: second image, other firmware, from the cached root", took, 30.0, "s")]


def own_work() -> Figure:
    """imgbuild's own seconds of one control plane's first boot, not emulated: in a chroot, with stand-ins.

    The bound is 5 % of half a minute, which a boot with the real Kubernetes took in a container, without a kernel's
    start and Cilium's (docs/explanation/figures.md).
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ground(folder / "nodes", pack(folder / "kube", KUBERNETES)[0]) as make_node:
            node = make_node("node1")
            lay(of("control-plane"), make("demo", int(time.time())), node)
            power_on(node)
            node.ok(FIRSTBOOT)
            spans = [line.split() for line in node.read("/run/imgbuild/firstboot.times").splitlines()]
            began = time.monotonic()
            node.ok("bash", "/usr/libexec/imgbuild/verify")
            print(f"       imgbuild-verify there: {time.monotonic() - began:.2f} s")
    body = {"spans": [[kind, what, float(start), float(end)] for kind, what, start, end in spans]}
    times = parse_times(Message("times", body))
    print(f"       in a chroot, of {times.spent:.1f} s of first boot: {times.own:.2f} s")
    return Figure("imgbuild's own part of first boot, not emulated", times.own, 1.5, "s")


def emulated_boot() -> Figure:
    """The share of imgbuild's own part in a whole boot in QEMU, with stand-ins for kubeadm and kubelet.

    Emulated, programs start twenty times slower, and what the stand-ins wait for does not: see figures.md.
    """
    card = {"name": "eth0", "mac": "52:54:00:00:00:01", "addresses": ["10.0.2.15/24"], "gateway": "10.0.2.2"}
    nodes = [{"name": "node1", "role": "control-plane", "network": {"interfaces": [card]}}]
    with tempfile.TemporaryDirectory() as name, make_node_image(Path(name)) as made:
        seeds = made.seeds({"name": "demo", "nodes": nodes}, Path(name))
        spec = MachineSpec("bios", made.disk, seeds("node1"))
        steps = PlainSteps(sys.stderr)
        result = boot(spec, steps, Path(name) / "boot", check=True, seconds=1500, temp=Path(name))
        if not result.ok or result.times is None:
            raise RuntimeError(result.failure() or "no word of first boot's times")
        print(f"       {result.times}")
        return Figure("imgbuild's own part of first boot, emulated", 100 * result.times.share, 5.0, "%")


def main() -> int:
    print(f"cache: {default_cache()}")
    missed = 0
    for figure in figures():
        print(figure)
        missed += not figure.ok
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
