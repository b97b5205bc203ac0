"""Who a bundle is from, and whether it is whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imgbuild.bundle.read import Bundle
from imgbuild.diagnostics.errors import HostError
from imgbuild.outputs.signature import verified_by


@dataclass(frozen=True)
class Trust:
    """``signer``: the name in the file of allowed signers; None if the signature was not verified."""

    signer: str | None
    signed: bool

    def __str__(self) -> str:
        if self.signer is not None:
            return f"signed by {self.signer}"
        return "its signature was not verified" if self.signed else "it is not signed"


def wrong_with(bundle: Bundle, signers: Path | None) -> tuple[Trust, list[str]]:
    """Everything that is wrong with a bundle. ``signers``: who may have signed it; None: nobody has to.

    Raises:
        UsageError: there is no such file of signers.
    """
    wrong: list[str] = []
    signer = None
    if signers is not None and bundle.signature is None:
        wrong.append("it is not signed")
    elif signers is not None and bundle.signature is not None:
        try:
            signer = verified_by(bundle.sums, bundle.signature, signers)
        except HostError as error:
            wrong.append(str(error))
    wrong += bundle.damage()
    return Trust(signer, bundle.signature is not None), wrong
