"""Archives from outside: addresses in order, sums, members that climb out, a second run. Real curl, real tar."""

from __future__ import annotations

import hashlib
import io
import socket
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.install.conftest import Mirror
from tests.install.room import Room, tree

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


def test_a_dead_address_moves_on_to_the_next(room: Room, mirror: Mirror, dead: str) -> None:
    content = nerdctl_full()
    (mirror.folder / "n.tgz").write_bytes(content)
    lay(room, content, dead, f"{mirror.url}/missing.tgz", f"{mirror.url}/n.tgz")
    done = room.step("40-containerd")
    assert done.returncode == 0, done.stderr
    assert f"{dead} failed (try 1 of 3)" in done.stderr
    assert mirror.asked.count("/missing.tgz") == 1  # 404 is final


def test_a_wrong_sum_is_never_unpacked(room: Room, mirror: Mirror, dead: str) -> None:
    (mirror.folder / "n.tgz").write_bytes(nerdctl_full() + b"more")
    lay(room, nerdctl_full(), dead, f"{mirror.url}/n.tgz")
    done = room.step("40-containerd")
    assert done.returncode == 1
    assert f"tried {dead}: could not be fetched" in done.stderr
    assert f"tried {mirror.url}/n.tgz: the file there has sha256" in done.stderr
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


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("../outside", b"x", "leads out of the folder"),
        ("bin/../../outside", b"x", "leads out of the folder"),
        ("/etc/outside", b"x", "leads out of the folder"),
        ("bin/link", "/etc/passwd", "is a link to /etc/passwd"),
        ("bin/link", "../../etc/passwd", "is a link to ../../etc/passwd"),
    ],
)
def test_members_that_climb_out_are_refused(
    room: Room, mirror: Mirror, name: str, content: bytes | str, said: str
) -> None:
    packed = nerdctl_full(lambda members: members.update({name: content}))
    (mirror.folder / "n.tgz").write_bytes(packed)
    lay(room, packed, f"{mirror.url}/n.tgz")
    done = room.step("40-containerd")
    assert done.returncode == 1
    assert said in done.stderr
    assert not (room.upper / "usr/local/bin/containerd").exists()


def test_files_that_are_not_what_the_archive_says(room: Room, mirror: Mirror) -> None:
    packed = nerdctl_full(lambda members: members.update({"bin/runc": PROGRAM + b"#"}))
    (mirror.folder / "n.tgz").write_bytes(packed)
    lay(room, packed, f"{mirror.url}/n.tgz")
    done = room.step("40-containerd")
    assert done.returncode == 1
    assert "is not what nerdctl-full 2.3.5 says it holds" in done.stderr


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
    assert "/usr/local/bin/containerd is there and cannot be started" in done.stderr


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
        assert "/usr/local/bin/helm is of 4.2.0, not of 4.3.0" in done.stderr
    else:
        mirror.asked.clear()
        assert room.step("60-helm").returncode == 0
        assert not mirror.asked


CHART_YAML = (
    b'apiVersion: v2\nname: cilium\nversion: "1.19.6"\nannotations:\n  artifacthub.io/crds: |\n'
    b"    - kind: CiliumNode\n      version: v2\n      name: ciliumnodes.cilium.io\n"
)  # the annotations of the real one have names and versions too


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"cilium/Chart.yaml": CHART_YAML}, ""),
        ({"cilium/Chart.yaml": CHART_YAML.replace(b"19.6", b"18.1")}, "is of cilium 1.18.1, not of cilium 1.19.6"),
        ({"other/Chart.yaml": CHART_YAML}, "is no archive of a chart"),
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
        assert done.returncode == 1 and "bad is no archive of images" in done.stderr
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
