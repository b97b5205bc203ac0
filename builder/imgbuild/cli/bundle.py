"""`imgbuild bundle`: everything that a profile's lock names in one file, for a place without a network."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from imgbuild.bundle.layout import KINDS
from imgbuild.bundle.push import push
from imgbuild.bundle.read import Bundle, open_bundle
from imgbuild.bundle.unpack import unpack
from imgbuild.bundle.verify import Trust, wrong_with
from imgbuild.bundle.write import refuse_target
from imgbuild.cli.options import Given, Place, input_options, store_option
from imgbuild.cli.output import Says, ends_well
from imgbuild.cli.parsing import Command
from imgbuild.cli.sizes import size_text
from imgbuild.diagnostics.errors import HostError, UsageError
from imgbuild.diagnostics.findings import Findings
from imgbuild.image.cache import default_cache, open_store
from imgbuild.outputs.signature import Signer, open_signer
from imgbuild.pipeline import prepare
from imgbuild.pipeline.bundle import make_bundle, unpack_packages
from imgbuild.pipeline.site import site_profile

_WORDS = {"make": 0, "verify": 1, "unpack": 2, "push": 2}
"""The actions, and how many names follow each."""


@click.command("bundle", cls=Command)
@ends_well
@click.argument("action", type=click.Choice(list(_WORDS)), default="make")
@click.argument("names", metavar="[FILE [FOLDER|REGISTRY]]", nargs=-1)
@input_options(required=False, lock=False)
@click.option("--output", "-o", metavar="FILE", type=Place(), help="make: the bundle.")
@store_option
@click.option("--sign-key", metavar="FILE", type=Place(), help="make: sign the bundle with this SSH key.")
@click.option(
    "--wheels", metavar="DIR", type=Place(), help="make: take imgbuild's wheels from here, not from pip's index."
)
@click.option("--no-wheels", is_flag=True, help="make: leave out imgbuild's wheels.")
@click.option(
    "--allowed-signers", metavar="FILE", type=Place(),
    help="verify, unpack, push: who may have signed the bundle, as in ssh-keygen(1), ALLOWED SIGNERS.",
)  # fmt: skip
@click.option(
    "--unsigned", is_flag=True, help="verify, unpack, push: look for damage only; whoever made it is trusted."
)
@click.option(
    "--all-platforms", is_flag=True,
    help="make: container images for all platforms of their index, so that a registry takes the index.",
)  # fmt: skip
@click.option(
    "--charts", metavar="PATH", default="charts", show_default=True, help="push: the path of charts in the registry."
)
@click.option("--packages", is_flag=True, help="unpack: also the repository of packages, for a web server.")
def command(
    says: Says, action: str, names: tuple[str, ...], given: Given, output: Path | None, store: str | None,
    sign_key: Path | None, wheels: Path | None, no_wheels: bool, allowed_signers: Path | None, unsigned: bool,
    all_platforms: bool, charts: str, packages: bool,
) -> int:  # fmt: skip
    """Write, verify, unpack or push one file with everything that a profile needs.

    \b
    imgbuild bundle --profile node.yaml -o node.bundle             write it
    imgbuild bundle verify node.bundle --allowed-signers FILE      find damage, and who signed it
    imgbuild bundle unpack node.bundle FOLDER --allowed-signers FILE
                                                                   get its profile, lock and wheels
    imgbuild bundle push node.bundle harbor.example.com --allowed-signers FILE
                                                                   copy its images and charts there
    """
    if len(names) != _WORDS[action]:
        raise click.UsageError(_USAGE[action])
    makes = {
        "--output": output is not None, "--store": store is not None, "--sign-key": sign_key is not None,
        "--wheels": wheels is not None, "--no-wheels": no_wheels, "--all-platforms": all_platforms,
        "--cluster": given.cluster is not None, "--mode": given.mode is not None,
    }  # fmt: skip
    loads = {"--profile": given.profile is not None, "--layer": bool(given.layers), "--set": bool(given.sets)}
    trusts = {"--allowed-signers": allowed_signers is not None, "--unsigned": unsigned}
    if action == "make":
        _refuse(action, {**trusts, "--packages": packages})
        if output is None:
            raise click.UsageError("name the file of the bundle: -o FILE")
        if wheels is not None and no_wheels:
            raise click.UsageError("--wheels and --no-wheels cannot be used together")
        signer = None if sign_key is None else open_signer(sign_key)
        refuse_target(output)
        return _make(says, given, output, store, signer, wheels, no_wheels=no_wheels, all_platforms=all_platforms)
    _refuse(
        action,
        {**makes, **({} if action == "push" else loads), **({} if action == "unpack" else {"--packages": packages})},
    )
    if unsigned == (allowed_signers is not None):
        raise click.UsageError(
            "name who may have signed the bundle: --allowed-signers FILE; or pass --unsigned, which finds damage, but "
            "not a bundle that somebody else has made"
        )
    registry = _registry(names) if action == "push" else ""
    bundle = open_bundle(Path(names[0]))
    trust = _verify(says, bundle, allowed_signers)
    if action == "unpack":
        return _unpack(says, bundle, Path(names[1]), packages=packages)
    if action == "push":
        return _push(says, bundle, registry, given, charts)
    _tell(says, bundle, trust)
    return 0


_USAGE = {
    "make": "imgbuild bundle takes its file with -o FILE",
    "verify": "name the bundle: imgbuild bundle verify FILE",
    "unpack": "name the bundle and a new folder: imgbuild bundle unpack FILE FOLDER",
    "push": "name the bundle and the registry: imgbuild bundle push FILE HOST[:PORT]",
}


_HOST = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_SCHEME = re.compile("(?:https?|oci|docker)://", re.IGNORECASE)


def _registry(names: Sequence[str]) -> str:
    """The registry to push to, without the scheme.

    Raises:
        click.UsageError: it has a path, or is not a host at all.
    """
    given = _SCHEME.sub("", names[1], count=1).rstrip("/")
    if _HOST.fullmatch(given):
        return given
    host, slash, path = given.partition("/")
    if slash and _HOST.fullmatch(host):
        raise click.UsageError(
            f"{names[1]} is not HOST[:PORT]: name the host alone, imgbuild bundle push {names[0]} {host}; the path "
            f"{path} is that of a mirror in the profile's containerd.registries"
        )
    raise click.UsageError(f"{names[1]} is not HOST[:PORT]: name the registry's host, such as harbor.example.com")


def _refuse(action: str, options: dict[str, bool]) -> None:
    for name, is_given in options.items():
        if is_given:
            raise click.UsageError(f"{name} is not an option of imgbuild bundle {action}")


def _make(
    says: Says, given: Given, target: Path, store: str | None, signer: Signer | None, wheels: Path | None, *,
    no_wheels: bool, all_platforms: bool,
) -> int:  # fmt: skip
    findings = Findings()
    ready = prepare(given.request(), findings)
    says.findings(findings)
    files = open_store(default_cache(), store)
    made = make_bundle(
        ready, target, files, says.steps(), wheels=wheels, no_wheels=no_wheels, signer=signer,
        all_platforms=all_platforms,
    )  # fmt: skip
    for left in made.left_out:
        if says.json:
            says.event("left_out", where=left.where, what=left.what, fix=left.fix)
        else:
            says.out.print(f"left out  {left.where}  {left.what}\n          {left.fix}")
    if signer is None:
        says.note("the bundle is not signed: pass --sign-key, so that others can verify who made it")
    if says.json:
        says.result(file=str(target), bytes=made.size, images=made.images, files=len(made.parts))
    else:
        says.out.print(f"{target}: {size_text(made.size)}, {_counted([p.kind for p in made.parts])}")
    return 0


def _counted(kinds: Sequence[str]) -> str:
    """How many files of each kind."""
    counts = [(kinds.count(kind), names) for kind, names in KINDS.items() if kind in kinds and kind != "layout"]
    return ", ".join(f"{count} {names[count > 1]}" for count, names in counts)


def _verify(says: Says, bundle: Bundle, signers: Path | None) -> Trust:
    """Verify all of it.

    Raises:
        HostError: something is wrong; all of it is reported.
    """
    steps = says.steps()
    with steps.step(f"Verify {bundle.file} ({bundle.end >> 20} MiB)"):
        trust, wrong = wrong_with(bundle, signers)
    if wrong:
        text = f"{bundle.file} must not be used: {'; '.join(map(str, wrong))}"
        raise HostError(text, "\n".join(dict.fromkeys(error.hint for error in wrong)))
    return trust


def _tell(says: Says, bundle: Bundle, trust: Trust) -> None:
    about = bundle.contents
    if says.json:
        says.result(
            file=str(bundle.file), profile=about.profile, imgbuild=about.imgbuild, signed_by=trust.signer,
            signed=bundle.signature is not None, bytes=bundle.end, files=len(about.files), options=list(about.options),
        )  # fmt: skip
        return
    says.out.print(f"{bundle.file}: every file matches its checksum; {trust}")
    says.out.print(
        f"of the profile {about.profile}, by imgbuild {about.imgbuild}: {_counted([f.kind for f in about.files])}"
    )


def _push(says: Says, bundle: Bundle, registry: str, given: Given, charts: str) -> int:
    profile = site_profile(bundle, given.profile, given.layers, given.sets)
    done = push(bundle, profile, registry, charts.strip("/"), says.steps())
    for one in done:
        if says.json:
            says.event("pushed", name=one.name, place=one.place, new=one.new, note=one.note or None)
        else:
            says.out.print(f"{'pushed' if one.new else 'kept  '}  {one.place}")
            if one.note:
                says.out.print(f"        {one.name}: {one.note}")
    new = sum(one.new for one in done)
    if says.json:
        says.result(new=new, there=len(done) - new)
    else:
        says.out.print(f"{registry}: {new} new, {len(done) - new} were there")
    return 0


def _unpack(says: Says, bundle: Bundle, folder: Path, *, packages: bool) -> int:
    if packages and not any(one.kind == "package" for one in bundle.contents.files):
        raise UsageError(
            f"{bundle.file} has no packages", "make it from a lock that has them; or leave out --packages"
        )  # fmt: skip
    steps = says.steps()
    count = unpack(bundle, folder, lambda new: unpack_packages(bundle, new, steps) if packages else None)
    about = bundle.contents
    if says.json:
        for left in about.left_out:
            says.event("left_out", where=left.where, what=left.what, fix=left.fix)
        says.result(folder=str(folder), files=count, options=list(about.options))
        return 0
    for left in about.left_out:
        says.out.print(f"left out  {left.where}  {left.what}\n          {left.fix}")
    says.out.print(f"{folder}: {count} files; build in {folder}/profile with")
    words = ["imgbuild", *about.options, "--offline", "--store", str(bundle.file.resolve())]
    says.out.print(f"  {shlex.join(words)}")
    return 0
