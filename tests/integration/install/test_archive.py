"""Archives from outside: addresses in order, sums, members that climb out, a second run. Real curl, real tar."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from imgbuild.config.data import data_dir
from tests.support.fetch_server import Act, Server, Talk
from tests.support.install.room import Room, tree
from tests.support.mirror import Mirror

PROGRAM = b'#!/bin/sh\n[ "$1" = --version ]\n'
HELM = b"#!/bin/sh\necho v4.3.0\n"
Change = Callable[[dict[str, bytes | str]], None]


def archive(members: dict[str, bytes | str]) -> bytes:
    """A tar.gz; text is the target of a symbolic link."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.mode = 0o755
            info.uid = info.gid = 1001
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def nerdctl_full(change: Change | None = None) -> bytes:
    """Laid out as upstream's."""
    members: dict[str, bytes | str] = {f"bin/{n}": PROGRAM for n in ("containerd", "runc", "nerdctl", "ctr")}
    members["libexec/cni/bridge"] = b"bridge"
    members["lib/systemd/system/containerd.service"] = b"[Service]\n"
    sums = {f"./{name}": content for name, content in members.items() if isinstance(content, bytes)}
    sums["./bin/buildkit-cni-bridge"] = b"bridge"
    members["bin/buildkit-cni-bridge"] = "../libexec/cni/bridge"
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(sums.items())]
    members["share/doc/nerdctl-full/SHA256SUMS"] = "".join(lines).encode()
    if change is not None:
        change(members)
    return archive(members)


def lay(room: Room, content: bytes, *urls: str, profile: str = "debian12-efi") -> None:
    listed = ", ".join(f'"{url}"' for url in urls)
    prefix = "containerd.nerdctl_full"
    room.lay(
        tree(profile, sets=(f"{prefix}.urls=[{listed}]", f"{prefix}.sha256={hashlib.sha256(content).hexdigest()}"))
    )


@pytest.fixture
def dead() -> str:
    """An address where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/nerdctl-full.tar.gz"


def test_unpacked_whole_with_its_links(room: Room, mirror: Mirror) -> None:
    content = nerdctl_full()
    (mirror.folder / "n.tgz").write_bytes(content)
    lay(room, content, f"{mirror.url}/n.tgz")
    done = room.step("40-containerd")
    assert done.returncode == 0, done.stderr
    link = room.upper / "usr/local/bin/buildkit-cni-bridge"
    assert link.readlink() == Path("../libexec/cni/bridge")
    program = room.upper / "usr/local/bin/containerd"
    assert (program.stat().st_uid, program.stat().st_mode & 0o777) == (0, 0o755)
    assert not list((room.upper / "var/cache/imgbuild").iterdir())


def test_a_second_run_fetches_nothing(room: Room, mirror: Mirror) -> None:
    content = nerdctl_full()
    (mirror.folder / "n.tgz").write_bytes(content)
    lay(room, content, f"{mirror.url}/n.tgz")
    assert room.step("40-containerd").returncode == 0
    mirror.asked.clear()
    done = room.step("40-containerd")
    assert done.returncode == 0
    assert "in place" in done.stdout
    assert not mirror.asked
    (room.upper / "usr/local/bin/runc").write_text("somebody else's")
    assert room.step("40-containerd").returncode == 0
    assert mirror.asked == ["/n.tgz"]
    assert (room.upper / "usr/local/bin/runc").read_bytes() == PROGRAM


def test_what_the_build_host_has_fetched_is_not_fetched_again(room: Room, mirror: Mirror) -> None:
    """If it has the right sum."""
    content = nerdctl_full()
    lay(room, content, f"{mirror.url}/n.tgz")
    supply = room.upper / "var/cache/imgbuild/supply"
    supply.mkdir(parents=True)
    sum256 = hashlib.sha256(content).hexdigest()
    (supply / sum256).write_bytes(content)
    done = room.step("40-containerd")
    assert done.returncode == 0, done.stderr
    assert not mirror.asked
    assert (room.upper / "usr/local/bin/runc").read_bytes() == PROGRAM
    (room.upper / "usr/local/bin/runc").unlink()
    (supply / sum256).write_bytes(content + b"x")
    (mirror.folder / "n.tgz").write_bytes(content)
    assert room.step("40-containerd").returncode == 0
    assert mirror.asked == ["/n.tgz"]


def test_two_files_of_a_build_may_be_the_same_one(room: Room, mirror: Mirror) -> None:
    lay(room, nerdctl_full(), f"{mirror.url}/n.tgz")
    supply = room.upper / "var/cache/imgbuild/supply"
    supply.mkdir(parents=True)
    sum256 = hashlib.sha256(b"program").hexdigest()
    (supply / sum256).write_bytes(b"program")
    places = [f"/var/cache/imgbuild/{name}" for name in ("kubeadm", "kubelet")]
    for place in places:
        fetched = (
            f". /usr/libexec/imgbuild/lib/install.sh; . /usr/libexec/imgbuild/lib/archive.sh; fetch {place} {sum256}"
        )
        done = room.run("bash", "-c", f"set -euo pipefail; {fetched} {mirror.url}/{place}")
        assert done.returncode == 0, done.stderr
    assert [room.read(place) for place in places] == ["program"] * 2
    assert not mirror.asked


def test_a_dead_address_moves_on_to_the_next(room: Room, mirror: Mirror, dead: str) -> None:
    content = nerdctl_full()
    (mirror.folder / "n.tgz").write_bytes(content)
    lay(room, content, dead, f"{mirror.url}/missing.tgz", f"{mirror.url}/n.tgz")
    done = room.step("40-containerd")
    assert done.returncode == 0, done.stderr
    assert f"{dead} failed (attempt 1 of 3)" in done.stderr
    assert mirror.asked.count("/missing.tgz") == 1  # 404 is final


def test_a_wrong_sum_is_never_unpacked(room: Room, mirror: Mirror, dead: str) -> None:
    (mirror.folder / "n.tgz").write_bytes(nerdctl_full() + b"more")
    lay(room, nerdctl_full(), dead, f"{mirror.url}/n.tgz")
    done = room.step("40-containerd")
    assert done.returncode == 75  # the other address may come back, with the right file
    assert f"tried {dead}: could not be fetched" in done.stderr
    assert f"tried {mirror.url}/n.tgz: the file there has sha256" in done.stderr
    lay(room, nerdctl_full(), f"{mirror.url}/n.tgz", f"{mirror.url}/missing.tgz")
    done = room.step("40-containerd")
    assert done.returncode == 1, done.stderr
    assert "is at none of its addresses" in done.stderr
    assert not (room.upper / "usr/local/bin/containerd").exists()
    assert not list((room.upper / "var/cache/imgbuild").iterdir())


def test_a_wrong_sum_at_the_first_address_tries_the_second(room: Room, mirror: Mirror) -> None:
    content = nerdctl_full()
    (mirror.folder / "old.tgz").write_bytes(b"stale")
    (mirror.folder / "n.tgz").write_bytes(content)
    lay(room, content, f"{mirror.url}/old.tgz", f"{mirror.url}/n.tgz")
    assert room.step("40-containerd").returncode == 0


def test_a_part_that_does_not_fit_is_thrown_away(room: Room, mirror: Mirror) -> None:
    content = nerdctl_full()
    (mirror.folder / "n.tgz").write_bytes(content)
    lay(room, content, f"{mirror.url}/n.tgz")
    place = room.upper / "var/cache/imgbuild/nerdctl-full-2.3.5.tar.gz.part"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"x" * (len(content) + 10))
    done = room.step("40-containerd")
    assert done.returncode == 0, done.stderr


def test_a_file_fetched_before_is_used(room: Room, mirror: Mirror) -> None:
    content = nerdctl_full()
    lay(room, content, f"{mirror.url}/n.tgz")
    place = room.upper / "var/cache/imgbuild/nerdctl-full-2.3.5.tar.gz"
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    assert room.step("40-containerd").returncode == 0
    assert not mirror.asked


Member = tuple[str, bytes, str]
"""A name, a type (tarfile's), and the target of a link."""
FILE, LINK, HARD, FOLDER = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE
REFUSED: dict[str, tuple[list[Member], str]] = {
    "climbs": ([("../outside", FILE, "")], "../outside leads out of the folder"),
    "climbs further in": ([("bin/../../outside", FILE, "")], "bin/../../outside leads out of the folder"),
    "is absolute": ([("/etc/outside", FILE, "")], "/etc/outside leads out of the folder"),
    "is the folder above": ([("..", FOLDER, "")], "../ leads out of the folder"),
    "climbs, with an arrow": ([("a -> b/../../x", FILE, "")], "a -> b/../../x leads out of the folder"),
    "absolute, with an arrow": ([("/etc/x -> y", FILE, "")], "/etc/x -> y leads out of the folder"),
    "a link to an absolute path": ([("bin/link", LINK, "/etc/passwd")], "bin/link is a link to /etc/passwd"),
    "a link that climbs": ([("bin/link", LINK, "../../etc/passwd")], "bin/link is a link to ../../etc/passwd"),
    "a link with an arrow in its name": ([("a -> b", LINK, "/etc/passwd")], "a -> b is a link to /etc/passwd"),
    "a link with an arrow in its target": ([("bin/a", LINK, "x -> /../../../y")], "a is a link to x -> /.."),
    "a link that climbs with an arrow": ([("l", LINK, "../b -> c")], "l is a link to ../b -> c"),
    "a link through another": (
        [("here", LINK, "."), ("up", LINK, "here/..")], "up is a link to here/..",
    ),
    "a path through a link": ([("bin/d", LINK, "sub"), ("bin/d/x", FILE, "")], "bin/d/x leads through a link"),
    "a path through a link, in other words": (
        [("bin/d", LINK, "sub"), ("./bin//d/./x", FILE, "")], "./bin//d/./x leads through a link",
    ),
    "a path through a link that comes later": (
        [("d/x", FILE, ""), ("d", LINK, "e")], "d/x leads through a link",
    ),
    "a hard link to an absolute path": ([("bin/h", HARD, "/etc/shadow")], "bin/h is a link to /etc/shadow"),
    "a hard link that climbs": ([("bin/h", HARD, "../../etc/shadow")], "bin/h is a link to ../../etc/shadow"),
    "a hard link to what the node has": ([("bin/h", HARD, "share/keyrings/x")], "bin/h is a link to share/keyrings/x"),
    "a hard link through a link": (
        [("d", LINK, "bin"), ("h", HARD, "d/runc")], "h is a link to d/runc",
    ),
    "a hard link with words": ([("a link to b", HARD, "/etc/shadow")], "a link to b is a link to /etc/shadow"),
    "a device": ([("dev", tarfile.CHRTYPE, "")], "dev is not a file, a folder or a link"),
    "a disk": ([("dev -> bin/runc", tarfile.BLKTYPE, "")], "dev -> bin/runc is not a file, a folder or a link"),
    "a FIFO": ([("fifo", tarfile.FIFOTYPE, "")], "fifo is not a file, a folder or a link"),
    "a link with a newline": ([("a\nb", LINK, "/etc/x")], "a\\nb is a link to /etc/x"),
    "a tab": ([("a\tb", LINK, "/etc/x")], "a\\tb is a link to /etc/x"),
    "a backslash": ([("a\\", LINK, "/etc/x")], "a\\\\ is a link to /etc/x"),
    "spaces at both ends": ([(" a ", LINK, "/etc/x")], " a  is a link to /etc/x"),
    "bytes that are not ASCII": ([("\xe9 -> \xff", LINK, "/etc/x")], "is a link to /etc/x"),
    "an escape sequence": ([("\x1b[31m", LINK, "/etc/x")], "\\033[31m is a link to /etc/x"),
    "a very long name": ([("d/" * 200 + "x", LINK, "/etc/x")], "is a link to /etc/x"),
    "a date long gone": ([("1 -> 2", LINK, "/etc/x")], "1 -> 2 is a link to /etc/x"),
}  # fmt: skip
GOOD: list[Member] = [
    ("a -> b", FILE, ""),
    ("c -> d", LINK, "x -> y"),
    ("share/n\nl", FILE, ""),
    ("share/n\nl -> t\tb", LINK, "../a -> b"),
    ("share/link to x", HARD, "a -> b"),
    ("x\n-rwxr-xr-x 0/0 1 2020-01-01 00:00 ../y", FILE, ""),
    ("share/dots..", FILE, ""),
    ("share/..a/b", FILE, ""),
    ("share/in", LINK, "..a/b"),
    ("share/...", FILE, ""),
]


def packed_with(*members: Member, owner: str = "a b 1/1 2 3 -> x", mtime: float = 1_700_000_000) -> bytes:
    """nerdctl-full with more members; the owner's name is part of the list that is read."""
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(nerdctl_full())) as old, tarfile.open(fileobj=out, mode="w:gz") as tar:
        for info in old:
            tar.addfile(info, old.extractfile(info) if info.isreg() else None)
        for name, kind, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mode, info.mtime = kind, target, 0o6777, mtime
            info.uname = info.gname = owner
            info.devmajor, info.devminor = 8, 0
            tar.addfile(info)
    return out.getvalue()


@pytest.mark.parametrize("kind", REFUSED)
def test_members_that_climb_out_are_refused(room: Room, mirror: Mirror, kind: str) -> None:
    members, said = REFUSED[kind]
    packed = packed_with(*members, mtime=-(1 << 40) if kind == "a date long gone" else 1_700_000_000)
    (mirror.folder / "n.tgz").write_bytes(packed)
    lay(room, packed, f"{mirror.url}/n.tgz")
    done = room.step("40-containerd")
    assert done.returncode == 1
    assert "is refused: " in done.stderr
    assert said in done.stderr
    assert not (room.upper / "usr/local/bin/containerd").exists()


def test_names_that_only_look_dangerous_are_unpacked_without_setuid_bits(room: Room, mirror: Mirror) -> None:
    packed = packed_with(*GOOD)
    (mirror.folder / "n.tgz").write_bytes(packed)
    lay(room, packed, f"{mirror.url}/n.tgz")
    done = room.step("40-containerd")
    assert done.returncode == 0, done.stderr
    place = room.upper / "usr/local"
    for name, kind, target in GOOD:
        if kind == LINK:
            assert str((place / name).readlink()) == target
        else:
            assert (place / name).stat().st_mode & 0o7777 == 0o755, name
    assert (place / "share/link to x").stat().st_ino == (place / "a -> b").stat().st_ino


@pytest.mark.parametrize("awk", ["gawk", "mawk", "busybox"])
def test_every_awk_reads_the_list_alike(awk: str, tmp_path: Path) -> None:
    program = shutil.which(awk)
    if program is None:
        pytest.skip(f"{awk} is not installed")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/awk").symlink_to(program)
    library = data_dir("node") / "usr/libexec/imgbuild/lib/archive.sh"
    script = f'set -euo pipefail; die() {{ printf "%s\\n" "$*" >&2; exit 1; }}; . {library}; safe_archive "$1"'
    environment = {**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "LC_ALL": "C"}
    for kind, (members, said) in {**REFUSED, "good": (GOOD, "")}.items():
        (tmp_path / "a.tgz").write_bytes(packed_with(*members))
        argv = ["bash", "-c", script, "bash", str(tmp_path / "a.tgz")]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, said in done.stderr) == (1 if said else 0, True), (kind, done.stderr)


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "text"])
def test_what_is_not_an_archive(room: Room, mirror: Mirror, damage: str) -> None:
    good = nerdctl_full()
    packed = {"cut": good[:-200], "garbage": good[:100] + bytes(100) + good[200:], "empty": b"", "text": b"<html>"}[
        damage
    ]
    (mirror.folder / "n.tgz").write_bytes(packed)
    lay(room, packed, f"{mirror.url}/n.tgz")
    done = room.step("40-containerd")
    assert done.returncode == 1
    assert "is not a complete archive" in done.stderr
    assert not (room.upper / "usr/local/bin/containerd").exists()


def ranges(content: bytes) -> Act:
    def act(talk: Talk) -> None:
        start, size = talk.start, len(content)
        talk.head("206 P" if start else "200 OK", f"Content-Length: {size - start}",
                  f"Content-Range: bytes {start}-{size - 1}/{size}")  # fmt: skip
        talk.send(content[start:])

    return act


def test_a_part_with_a_tail_of_zeros_is_fetched_afresh(room: Room) -> None:
    """What a power failure leaves; there is one address only."""
    content = nerdctl_full()
    with Server(ranges(content)) as server:
        lay(room, content, server.url)
        place = room.upper / "var/cache/imgbuild/nerdctl-full-2.3.5.tar.gz.part"
        place.parent.mkdir(parents=True)
        place.write_bytes(content[:100] + bytes(100))
        done = room.step("40-containerd")
        assert done.returncode == 0, done.stderr
        assert "from its first byte" in done.stderr
        assert server.ranges() == ["bytes=200-", None]


def test_files_that_are_not_what_the_archive_says(room: Room, mirror: Mirror) -> None:
    packed = nerdctl_full(lambda members: members.update({"bin/runc": PROGRAM + b"#"}))
    (mirror.folder / "n.tgz").write_bytes(packed)
    lay(room, packed, f"{mirror.url}/n.tgz")
    done = room.step("40-containerd")
    assert done.returncode == 1
    assert "do not match the checksums of nerdctl-full 2.3.5" in done.stderr


def test_a_program_that_does_not_run_here(room: Room, mirror: Mirror) -> None:
    def other_libc(members: dict[str, bytes | str]) -> None:
        members["bin/containerd"] = b"#!/lib/ld-of-another-libc.so\n"
        del members["share/doc/nerdctl-full/SHA256SUMS"]
        sums = {n: c if isinstance(c, bytes) else b"bridge" for n, c in members.items()}
        lines = [f"{hashlib.sha256(c).hexdigest()}  ./{n}\n" for n, c in sums.items()]
        members["share/doc/nerdctl-full/SHA256SUMS"] = "".join(lines).encode()

    packed = nerdctl_full(other_libc)
    (mirror.folder / "n.tgz").write_bytes(packed)
    lay(room, packed, f"{mirror.url}/n.tgz")
    done = room.step("40-containerd")
    assert done.returncode == 1
    assert "/usr/local/bin/containerd exists but cannot start" in done.stderr


@pytest.mark.parametrize(("program", "code"), [(HELM, 0), (HELM.replace(b"4.3", b"4.2"), 1)])
def test_helm(room: Room, mirror: Mirror, program: bytes, code: int) -> None:
    packed = archive({"linux-amd64/helm": program, "linux-amd64/LICENSE": b"x"})
    (mirror.folder / "h.tgz").write_bytes(packed)
    sums = f"helm.sha256={hashlib.sha256(packed).hexdigest()}"
    room.lay(tree("debian12-efi", sets=(f'helm.urls=["{mirror.url}/h.tgz"]', sums)))
    done = room.step("60-helm")
    assert done.returncode == code, done.stderr
    assert not (room.upper / "usr/local/bin/LICENSE").exists()
    if code:
        assert "/usr/local/bin/helm has version 4.2.0, not 4.3.0" in done.stderr
    else:
        mirror.asked.clear()
        assert room.step("60-helm").returncode == 0
        assert not mirror.asked


def test_a_program_is_not_marked_before_it_is_on_the_disk(room: Room, mirror: Mirror) -> None:
    """An empty file may be executed, too: it ends with 0."""
    packed = archive({"linux-amd64/helm": HELM})
    (mirror.folder / "h.tgz").write_bytes(packed)
    sums = f"helm.sha256={hashlib.sha256(packed).hexdigest()}"
    power, helm = room.power(), room.upper / "usr/local/bin/helm"

    def prepare() -> None:
        room.lay(tree("debian12-efi", mode="stock", sets=(f'helm.urls=["{mirror.url}/h.tgz"]', sums)))
        helm.unlink(missing_ok=True)
        (room.upper / "var/lib/imgbuild/installed-helm").unlink(missing_ok=True)

    for number in power.cuts(prepare, lambda: room.step("60-helm", image=False)):
        assert helm.read_bytes() == HELM, number


CHART_YAML = (
    b'apiVersion: v2\nname: cilium\nversion: "1.19.6"\nannotations:\n  artifacthub.io/crds: |\n'
    b"    - kind: CiliumNode\n      version: v2\n      name: ciliumnodes.cilium.io\n"
)  # the annotations of the real one have names and versions too


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"cilium/Chart.yaml": CHART_YAML}, ""),
        ({"cilium/Chart.yaml": CHART_YAML.replace(b"19.6", b"18.1")}, "the chart is cilium 1.18.1, not cilium 1.19.6"),
        ({"other/Chart.yaml": CHART_YAML}, "is not an archive of a chart"),
    ],
    ids=["right", "version", "name"],
)  # fmt: skip
def test_the_chart_of_cilium(room: Room, mirror: Mirror, members: dict[str, bytes | str], said: str) -> None:
    packed = archive({**members, "cilium/values.yaml": b"x"})
    (mirror.folder / "c.tgz").write_bytes(packed)
    chart = f"{{urls: ['{mirror.url}/c.tgz'], sha256: {hashlib.sha256(packed).hexdigest()}}}"
    room.lay(tree("debian12-efi", sets=("cilium.version=1.19.6", f"cilium.chart={chart}")))
    done = room.step("65-cilium-chart")
    file = room.upper / "usr/share/imgbuild/charts/cilium-1.19.6.tgz"
    if said:
        assert done.returncode == 1 and said in done.stderr
        return
    assert done.returncode == 0, done.stderr
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (packed, 0o644)
    mirror.asked.clear()
    assert room.step("65-cilium-chart").returncode == 0 and not mirror.asked


def image_archive(*members: str, mode: str = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:  # type: ignore[call-overload]
        for name in members:
            tar.addfile(tarfile.TarInfo(name))
    return out.getvalue()


def test_archives_of_images(room: Room, mirror: Mirror) -> None:
    """Plain and gzipped, docker's and OCI's; one that neither is ends the build and not the first boot."""
    made = {
        "docker": image_archive("manifest.json", "layer.tar"),
        "oci": image_archive("./index.json", "./oci-layout", mode="w:gz"),
    }

    def listed(more: dict[str, bytes]) -> str:
        items = []
        for name, content in more.items():
            (mirror.folder / name).write_bytes(content)
            sum_ = hashlib.sha256(content).hexdigest()
            items.append(f"{{name: {name}, urls: ['{mirror.url}/{name}'], sha256: {sum_}}}")
        return f"containerd.images=[{', '.join(items)}]"

    room.lay(tree("debian12-efi", sets=(listed(made),)))
    done = room.step("70-images")
    assert done.returncode == 0, done.stderr
    folder = room.upper / "usr/share/imgbuild/images"
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {f"{name}.tar": c for name, c in made.items()}
    mirror.asked.clear()
    assert room.step("70-images").returncode == 0 and not mirror.asked
    for bad in (image_archive("a/manifest.json"), b"\x28\xb5\x2f\xfd zstd", made["oci"][:-20] + b"x" * 20):
        room.lay(tree("debian12-efi", sets=(listed({"bad": bad}),)))
        done = room.step("70-images")
        assert done.returncode == 1 and "bad is not an archive of images" in done.stderr
        assert not (folder / "bad.tar").exists()


def test_images_of_another_sum_are_refused(room: Room, mirror: Mirror) -> None:
    (mirror.folder / "i.tar").write_bytes(image_archive("manifest.json"))
    one = f"[{{name: i, urls: ['{mirror.url}/i.tar'], sha256: {'a' * 64}}}]"
    room.lay(tree("debian12-efi", sets=(f"containerd.images={one}",)))
    done = room.step("70-images")
    assert done.returncode == 1 and "is at none of its addresses" in done.stderr


def test_kubernetes_as_pinned_binaries(room: Room, mirror: Mirror) -> None:
    program = b"#!/bin/sh\necho v1.35.8\n"
    (mirror.folder / "program").write_bytes(program)
    one = f"{{urls: ['{mirror.url}/program'], sha256: {hashlib.sha256(program).hexdigest()}}}"
    names = ("kubelet", "kubeadm", "kubectl", "crictl")
    sets = ("kubernetes.source=binaries", f"kubernetes.binaries={{{', '.join(f'{n}: {one}' for n in names)}}}")
    room.lay(tree("debian12-efi", sets=sets))
    done = room.step("50-kubernetes")
    assert done.returncode == 0, done.stderr
    for name in names:
        assert (room.upper / "usr/local/bin" / name).stat().st_mode & 0o777 == 0o755
    mirror.asked.clear()
    assert room.step("50-kubernetes").returncode == 0
    assert not mirror.asked


def test_a_program_of_kubernetes_in_an_archive(room: Room, mirror: Mirror) -> None:
    """cri-tools has no other form; run again, nothing is fetched, and another archive takes its place."""
    program = b"#!/bin/sh\necho v1.35.8\n"
    (mirror.folder / "program").write_bytes(program)

    def rows(archive: bytes) -> tuple[str, ...]:
        (mirror.folder / "crictl.tar.gz").write_bytes(archive)
        names = [(name, "program", program) for name in ("kubelet", "kubeadm", "kubectl")]
        every = [*names, ("crictl", "crictl.tar.gz", archive)]
        text = ", ".join(
            f"{name}: {{urls: ['{mirror.url}/{file}'], sha256: {hashlib.sha256(data).hexdigest()}}}"
            for name, file, data in every
        )
        return ("kubernetes.source=binaries", f"kubernetes.binaries={{{text}}}")

    for words in (b"echo one", b"echo two"):
        content = b"#!/bin/sh\n" + words + b"\n"
        room.lay(tree("debian12-efi", sets=rows(archive({"crictl": content}))))
        done = room.step("50-kubernetes")
        assert done.returncode == 0, done.stderr
        there = room.upper / "usr/local/bin/crictl"
        assert there.read_bytes() == content and there.stat().st_mode & 0o777 == 0o755
        mirror.asked.clear()
        assert room.step("50-kubernetes").returncode == 0
        assert not mirror.asked
