"""`imgbuild init`: a profile, and a cluster file, to start from."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from imgbuild.cli.options import Place
from imgbuild.cli.output import Says, ends_well
from imgbuild.cli.parsing import Command
from imgbuild.config.schema import WHERE, Kind
from imgbuild.config.shipped import PROFILE_NAME, shipped
from imgbuild.diagnostics.errors import HostError, UsageError
from imgbuild.outputs.caller import give_file, make_folder

PROFILE = """\
# A profile: one kind of node. docs/reference/profile.md lists every key.
#
#   imgbuild check --profile {file}                shows what is wrong or missing
#   imgbuild explain time.zone --profile {file}    shows where a value comes from
#   imgbuild --profile {file}                      builds everything
#
# What is not set here comes from the profile that it extends. Remove the # before a line to use it.
extends: {profile}

users:
  - name: admin
    sudo: true
    ssh_keys: []    # your public key, the line in ~/.ssh/id_ed25519.pub: without one you cannot log in

time:
  zone: UTC         # a name such as Europe/Berlin
#  ntp_servers: [ntp.example.com]

#packages:
#  install: [tmux]  # more packages of the distribution

#kernel:
#  sysctl:
#    vm.max_map_count: 262144

#files:
#  - path: /etc/motd
#    content: |
#      Built by imgbuild.
"""
CLUSTER = """\
# A cluster file: the machines of one cluster. docs/reference/cluster.md lists every key.
#
#   imgbuild check --profile {profile} --cluster {file}    shows what is wrong or missing
#   imgbuild --profile {profile} --cluster {file}          builds a seed for each node
#
# Replace names and addresses with your own.
name: lab
endpoint: 10.0.0.11:6443    # where the nodes reach the API server: the first control plane here

nodes:
  - name: cp1
    role: control-plane
    network:                # a static address; a node without it uses DHCP
      interfaces:
        - {{name: eth0, mac: "52:54:00:00:00:11", addresses: [10.0.0.11/24], gateway: 10.0.0.1}}
      dns: [10.0.0.1]

  - name: worker1
    role: worker
    mac: "52:54:00:00:00:21"
"""


@click.command("init", cls=Command)
@click.argument("place", metavar="[DIR|FILE]", type=Place(), default=Path())
@ends_well
@click.option(
    "--profile",
    "-p",
    metavar="NAME",
    type=click.Choice(shipped("profiles")),
    default="debian12-efi",
    show_default=True,
    help="The shipped profile that the new one extends.",
)
@click.option("--cluster", is_flag=True, help="Also write cluster.yaml, a cluster file with two nodes.")
def command(says: Says, place: Path, profile: str, cluster: bool) -> None:  # fmt: skip
    """Write a commented profile to start from.

    It is written to node.yaml in DIR (default: this folder), or to FILE, which ends in .yaml. Nothing is overwritten.
    """
    path = place if place.suffix in (".yaml", ".yml") else place / "node.yaml"
    if not PROFILE_NAME.fullmatch(path.stem):
        hint = "use letters, digits, dots, dashes and underscores; it also becomes the name of the output folder"
        raise UsageError(f"{path.stem!r} is not a valid profile name", hint)
    shown = shlex.quote(str(path))
    files = {path: _modeline("profile") + PROFILE.format(file=shown, profile=profile)}
    words = f"--profile {shown}"
    if cluster:
        beside = path.with_name("cluster.yaml")
        if beside == path:
            raise UsageError("the profile and the cluster file cannot both be cluster.yaml", "give another FILE")
        files[beside] = _modeline("cluster") + CLUSTER.format(file=shlex.quote(str(beside)), profile=shown)
        words += f" --cluster {shlex.quote(str(beside))}"
    write_new(files)
    if says.json:
        says.result(files=[str(file) for file in files])
    else:
        for file in files:
            says.out.print(str(file))
        says.note(f"put your SSH key in {path}, then run: imgbuild check {words}")


def _modeline(kind: Kind) -> str:
    """The line by which an editor finds the schema, to complete and check keys."""
    return f"# yaml-language-server: $schema={WHERE.format(kind=kind)}\n"


def write_new(files: dict[Path, str]) -> None:
    """Write files that do not exist yet, all of them or none.

    Raises:
        UsageError: one of them exists. HostError: they cannot be written.
    """
    for path in files:
        if os.path.lexists(path):
            raise UsageError(f"{path} already exists", "give another folder or file name: nothing is overwritten")
    made: list[Path] = []
    try:
        for path, text in files.items():
            for folder in reversed(path.parents):
                if not folder.is_dir():
                    make_folder(folder, 0o777)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            made.append(path)
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                give_file(descriptor)
                stream.write(text)
    except OSError as error:
        for path in made:
            path.unlink(missing_ok=True)
        raise HostError(f"cannot write {error.filename or path}: {error.strerror}", "give another folder") from error
