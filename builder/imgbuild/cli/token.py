"""`imgbuild token`: a new bootstrap token in the secrets file, and in the seeds if requested; no network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import click

from imgbuild.checks.secrets import check_keys
from imgbuild.cli.options import Given, input_options, name_option, output_option
from imgbuild.cli.output import Says, ends_well
from imgbuild.cli.parsing import Command
from imgbuild.config.cluster_file import load_cluster
from imgbuild.config.kept_secrets import default_path, load_secrets
from imgbuild.config.moment import read_moment
from imgbuild.config.secrets import Secrets
from imgbuild.diagnostics.errors import InvalidInput, UsageError
from imgbuild.diagnostics.findings import Findings
from imgbuild.diagnostics.progress import Steps
from imgbuild.facts.bootstrap_token import secret_document, secret_name, secret_text
from imgbuild.outputs.manifest import read_manifest
from imgbuild.pipeline import Request, prepare, with_new_token
from imgbuild.pipeline.write import write


@click.command("token", cls=Command)
@ends_well
@input_options(required=False)
@click.option("--keep", is_flag=True, help="Print the Secret of the cluster's current token, without making a new one.")
@click.option(
    "--render", is_flag=True, help="Also write the seeds with the new token; pass the options of the build too."
)
@output_option("With --render: the folder of the build.")
@name_option
def command(says: Says, given: Given, keep: bool, render: bool, output: Path, name: str | None) -> None:
    """Make a new bootstrap token and print its Secret for kubectl.

    \b
    imgbuild token --cluster lab.yaml | kubectl apply -f -
    imgbuild token --cluster lab.yaml --render --profile debian12-efi | kubectl apply -f -
    """
    if given.cluster is None:
        raise click.UsageError("--cluster is missing: a token belongs to a cluster")
    if render != (given.profile is not None):
        what = "--render needs --profile: which seeds" if render else "--profile without --render: nothing is built"
        raise click.UsageError(what)
    findings = Findings()
    if render:
        made = renew_seeds(given.request(name), output, says.steps(), findings, keep=keep)
    else:
        made = renew(given.cluster, given.secrets, findings, keep=keep)
    says.findings(findings)
    if says.json:
        says.result(secret=secret_document(made.now), file=str(made.path), renewed=made.now != made.before)
        return
    click.echo(secret_text(made.now), nl=False)
    if made.now != made.before:
        old, end = secret_name(made.before.bootstrap_token), made.before.bootstrap_token_expires
        says.err.print(
            f"{made.path} has the new token; the cluster accepts it once this Secret is applied (kubectl apply -f).\n"
            f"It accepts the old one until {end}, or until you run: kubectl -n kube-system delete secret {old}"
        )


@dataclass(frozen=True)
class Renewed:
    """The secrets that the file has now, and its previous ones."""

    now: Secrets
    before: Secrets
    path: Path


def renew(cluster_file: Path, secrets_file: Path | None, findings: Findings, *, keep: bool) -> Renewed:
    """A new token in the secrets file; ``keep``: the current one.

    Raises:
        InvalidInput: the cluster file or the secrets file has errors, or there is no secrets file yet.
        HostError: the file cannot be written.
    """
    found = load_cluster(cluster_file, findings)
    if found is None or findings.errors:
        raise InvalidInput(findings)
    kept = load_secrets(secrets_file or default_path(cluster_file), found.cluster.name, read_moment().now, findings)
    if kept is None:
        raise InvalidInput(findings)
    check_keys(found.cluster, kept, findings)
    fresh = with_new_token(kept, found.cluster, findings)
    if findings.errors:
        raise InvalidInput(findings)
    if keep:
        fresh = kept
    fresh.save()
    return Renewed(fresh.secrets, kept.secrets, kept.path)


def renew_seeds(request: Request, output: Path, steps: Steps, findings: Findings, *, keep: bool) -> Renewed:
    """The same, and the seeds of ``output``/NAME with it; image and elements are unchanged.

    Raises:
        InvalidInput: there are errors in the input; nothing is written.
        UsageError: the request is not what that folder was built from.
        HostError: there is no such folder, or it cannot be written.
    """
    ready = prepare(replace(request, renew_token=not keep), findings)
    kept = ready.kept
    if kept is None:  # no Kubernetes
        raise UsageError(f"the nodes of {request.profile} do not join a cluster: there is no token in their seeds")
    if kept.layered is None:  # keys of a new cluster, which only `keep` would make
        with_new_token(kept, ready.cluster, findings)
        raise InvalidInput(findings)
    folder = output / ready.resolved.name
    if read_manifest(folder)["image_wanted"] != ready.image_id:
        hint = "pass the --profile, --layer, --set and --mode that it was built with, or build it again"
        raise UsageError(f"{folder} was built from other input: its seeds would not match its image", hint)
    write(ready, output, steps, image=False, cache=Path(), fresh=False)
    return Renewed(kept.secrets, kept.before or kept.secrets, kept.path)
