"""A cluster's secrets with the file that stores them: read, renewed, saved."""

from __future__ import annotations

import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from imgbuild.config import misplaced, secrets_file
from imgbuild.config.layers import Layered
from imgbuild.config.secrets import TOKEN_SECONDS, Secrets, make, new_token
from imgbuild.config.source import read
from imgbuild.config.validate import validate
from imgbuild.diagnostics.findings import Findings, Mark

if TYPE_CHECKING:
    from imgbuild.config.openssl import Kind

_START = "pass the file that imgbuild wrote beside the cluster file; without one a run makes new keys"


@dataclass(frozen=True)
class Kept:
    """A cluster's secrets, and the file that they are in or will be in."""

    secrets: Secrets
    path: Path
    layered: Layered | None
    """Where each value is; None if there is no such file yet."""
    now: int
    """The time of the run, in seconds since 1970, for what expires."""
    before: Secrets | None = None
    """The file's current text, if the token has changed."""

    def renew(self, seconds: int) -> Kept:
        """The same with a new token, valid for so long from now."""
        made = self.secrets.model_copy(update=new_token(self.now, seconds))
        return replace(self, secrets=made, before=self.secrets)

    def save(self) -> None:
        """Write the file if it does not exist yet or its token is new, and remove what killed runs left behind.

        Raises:
            MadeMeanwhile: another run has created it since this run checked.
            HostError: it cannot be written.
        """
        if self.before is not None:
            secrets_file.replace(self.path, _text(self.secrets))
        elif self.layered is None:
            secrets_file.create(self.path, _text(self.secrets))
        else:
            secrets_file.clear(self.path)


def default_path(cluster: Path) -> Path:
    """Beside the cluster file: lab.yaml -> lab.secrets.yaml."""
    return cluster.with_name(f"{cluster.stem}.secrets.yaml")


def load_secrets(
    path: Path, cluster: str, now: int, findings: Findings, token_seconds: int = TOKEN_SECONDS, kind: Kind = "ecdsa"
) -> Kept | None:
    """The secrets of ``path``; where there is no such file new ones, with keys of ``kind``.

    Every problem goes to ``findings``.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return Kept(make(cluster, now, token_seconds, kind), path, None, now)
    except OSError as error:
        findings.add(
            "IB901",
            f"{path} cannot be read: {error.strerror}",
            mark=Mark(str(path), 1, 1),
            hint="check that the file is readable, or pass --secrets FILE",
        )
        return None
    said = Findings()
    document = read(path, said, private=True, start=_START)
    if document is not None and misplaced.report(document, "secrets", findings):
        return None  # its mode and its keys do not matter
    if stat.S_ISREG(mode) and mode & 0o077:
        findings.add(
            "IB902", f"{path} can be read by others (mode {stat.S_IMODE(mode):04o})", mark=Mark(str(path), 1, 1),
            hint=f"chmod 600 {path}; if others may have read it, the cluster needs new keys",
        )  # fmt: skip
    findings.extend(said.items)
    if document is None:
        return None
    layered = Layered()
    layered.lay(document)
    found = validate(Secrets, layered.data, layered, findings)
    return Kept(found, path, layered, now) if found is not None else None


def _text(made: Secrets) -> str:
    head = (
        f"{secrets_file.HEAD}{made.cluster}. Whoever has this file is its administrator.\n"
        "# Every node that is to join later needs it: keep it, and keep it out of version control.\n"
    )
    return head + yaml.dump(made.model_dump(), Dumper=_Dumper, sort_keys=False)


class _Dumper(yaml.SafeDumper):
    """Keys as blocks of text."""


def _represent(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _represent)
