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


_DAMAGED = "copy it again from where it was made, and compare; or ask for it there"


def wrong_with(bundle: Bundle, signers: Path | None) -> tuple[Trust, list[HostError]]:
    """Everything that is wrong with a bundle, each with its fix.

    ``signers``: who may have signed it; None: nobody has to.

    Raises:
        UsageError: there is no such file of signers.
    """
    wrong: list[HostError] = []
    signer = None
    if signers is not None and bundle.signature is None:
        fix = "get one that was made with --sign-key; or pass --unsigned, if you trust whoever made it"
        wrong.append(HostError("it is not signed", fix))
    elif signers is not None and bundle.signature is not None:
        try:
            signer = verified_by(bundle.sums, bundle.signature, signers)
        except HostError as error:
            wrong.append(error)
    wrong += (HostError(what, _DAMAGED) for what in bundle.damage())
    return Trust(signer, bundle.signature is not None), wrong
