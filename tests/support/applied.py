"""Apply a NoCloud seed with a real cloud-init, without a machine: an overlay of / in private namespaces, a chroot.

Nothing of it reaches the host: /dev, /run and the network are private, growpart and resizefs are not run, `shutdown`
and the node's `setup` are stand-ins that write down that they were called. What cloud-init wrote is the overlay's
upper layer.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.cloudinit.words import table
from tests.support.deadline import HUNG

NOT_HERE = {
    "growpart",
    "resizefs",
    "disk_setup",
    "mounts",
    "rh_subscription",
    "yum-add-repo",
    "final-message",
    "grub-dpkg",
}
_STAGES = ("cloud_init_modules", "cloud_config_modules", "cloud_final_modules")

_SCRIPT = r"""
set -eu
work=$1 macs=$2
shift 2
cd "$work"
mkdir -p t
mount -t tmpfs tmpfs t
mkdir t/upper t/work t/root
cp -a add/. t/upper/
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/t/upper,workdir=$work/t/work" t/root
r=$work/t/root
rm -rf "$r"/var/lib/cloud/instance* "$r"/var/lib/cloud/data "$r"/var/lib/cloud/sem "$r"/var/log/cloud-init*
mount -t proc proc "$r/proc"
mount -t sysfs sysfs "$r/sys"
mount -t tmpfs tmpfs "$r/run"
mount -t tmpfs tmpfs "$r/dev"
mknod -m 666 "$r/dev/null" c 1 3
mknod -m 666 "$r/dev/zero" c 1 5
mknod -m 666 "$r/dev/random" c 1 8
mknod -m 666 "$r/dev/urandom" c 1 9
ln -s /proc/self/fd "$r/dev/fd"
mkdir "$r/dev/shm"
hostname localhost
ip link set lo up
n=0
for mac in $macs; do
  ip tuntap add dev "port$n" mode tap
  ip link set dev "port$n" address "$mac"
  n=$((n + 1))
done
run() { chroot "$r" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"; }
final() {
  if [ -e "$r/usr/libexec/imgbuild/setup" ] && ! cmp -s "$work/setup" "$r/usr/libexec/imgbuild/setup"; then
    mv "$r/usr/libexec/imgbuild/setup" "$r/usr/libexec/imgbuild/setup.sent"
    cp "$work/setup" "$r/usr/libexec/imgbuild/setup"
  fi
  run "${@}" modules --mode=final || true
}
if [ -x "$work/serve" ]; then "$work/serve" & fi
if [ -e "$work/before" ]; then
  . "$work/before"
  rm -rf "$r"/run/*
fi
run "${@}" init --local || true
run "${@}" init || true
run "${@}" modules --mode=config || true
final "${@}"
sleep 1 # power_state acts after cloud-init has ended
cp -a t/upper out
cat /proc/sys/kernel/hostname > hostname
"""


@dataclass(frozen=True)
class Applied:
    """What is there afterwards."""

    root: Path
    hostname: str
    output: str

    def read(self, path: str) -> bytes:
        """A file's content."""
        return (self.root / path.lstrip("/")).read_bytes()

    def mode(self, path: str) -> int:
        """A file's permission bits."""
        return stat.S_IMODE((self.root / path.lstrip("/")).stat().st_mode)

    @property
    def status(self) -> dict[str, Any]:
        """cloud-init's own status.json."""
        found: dict[str, Any] = json.loads(self.read("/var/lib/cloud/data/status.json"))["v1"]
        return found

    @property
    def errors(self) -> list[str]:
        """The errors of every stage, as cloud-init counts them."""
        return [e for stage in self.status.values() if isinstance(stage, dict) for e in stage.get("errors", [])]

    @property
    def warnings(self) -> list[str]:
        """The lines of cloud-init's log that are warnings or worse."""
        log = self.read("/var/log/cloud-init.log").decode(errors="replace")
        return [line for line in log.splitlines() if "[WARNING]" in line or "[ERROR]" in line or "Traceback" in line]


def apply_seed(
    seed: Mapping[str, bytes],
    work: Path,
    *,
    modules: str = "debian-22.4",
    macs: Sequence[str] = (),
    setup: str = "#!/bin/sh\necho called >> /var/lib/imgbuild-setup\n",
    files: Mapping[str, bytes] | None = None,
    serve: str | None = None,
    before: str | None = None,
    command: Sequence[str] = ("/usr/bin/cloud-init",),
) -> Applied:
    """Run all four stages on ``seed``. ``macs`` are network cards; ``files`` lie on the node beforehand.

    ``modules`` is the list (cloudinit/modules.yaml) that cloud-init is held to; ``serve`` is a script that
    runs beside it in the same network; ``before`` is what an earlier boot did until the power was cut: shell, in which
    ``run "$@" STAGE`` runs a stage of cloud-init on the root ``$r``, and ``final "$@"`` the last one.
    """
    add = work / "add"
    for name, content in seed.items():
        place = add / "var/lib/cloud/seed/nocloud" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    for path, content in (files or {}).items():
        place = add / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    config = add / "etc/cloud/cloud.cfg.d/99-test.cfg"
    config.parent.mkdir(parents=True)
    config.write_text(yaml.safe_dump(_held_to(modules)))
    shutdown = add / "usr/sbin/shutdown"
    shutdown.parent.mkdir(parents=True)
    shutdown.write_text('#!/bin/sh\necho "$@" >> /var/lib/imgbuild-shutdown\n')
    shutdown.chmod(0o755)
    (work / "setup").write_text(setup)
    (work / "setup").chmod(0o755)
    if before is not None:
        (work / "before").write_text(before)
    if serve is not None:
        (work / "serve").write_text(serve)
        (work / "serve").chmod(0o755)
    done = subprocess.run(
        ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child",
         "bash", "-c", _SCRIPT, "bash", str(work), " ".join(macs), *command],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=HUNG, check=False,
        env={"PATH": os.environ["PATH"]}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return Applied(work / "out", (work / "hostname").read_text().strip(), done.stdout)


def _held_to(modules: str) -> dict[str, Any]:
    """A configuration that runs a distribution's modules only, each in the stage that Debian's cloud.cfg has it in."""
    listed = [m for m in table()["modules"][modules] if m not in NOT_HERE]
    stages = {}
    for stage, first, last in zip(
        _STAGES, (None, "set-passwords", "rightscale_userdata"), ("ssh", "runcmd", "power-state-change"), strict=True
    ):
        start = 0 if first is None else listed.index(first)
        stages[stage] = listed[start : listed.index(last) + 1]
    return {
        **stages,
        "datasource_list": ["NoCloud", "None"],
        "apt": {"preserve_sources_list": True},
        "ssh_genkeytypes": ["ed25519"],  # the others take seconds
    }
