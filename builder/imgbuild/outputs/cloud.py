"""user-data for clouds: plain, MIME multipart and gzip, and whether each cloud takes it.

Contents are literal text and the whole is compressed: cloud-init unpacks gzip (user_data.py, convert_string), and
files that are compressed one by one would leave gzip nothing to find.
"""

from __future__ import annotations

import gzip
import hashlib
import quopri
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imgbuild.config.cluster import Node
from imgbuild.config.profile import Profile
from imgbuild.diagnostics.findings import Finding, Mark, finding
from imgbuild.facts.clouds import LIMITS
from imgbuild.outputs.jsontext import json_text


@dataclass(frozen=True)
class SizeRow:
    """One form of user-data against one cloud's limit. ``bytes`` is what that cloud counts."""

    provider: str
    form: str
    bytes: int
    limit: int

    @property
    def fits(self) -> bool:
        """Whether the cloud takes it."""
        return self.bytes <= self.limit


def gzipped(data: bytes) -> bytes:
    """The same bytes on every run: no time, no file name."""
    return gzip.compress(data, 9, mtime=0)


def mime(user_data: bytes) -> bytes:
    """One multipart message with ``user_data`` as its part; parts of the user's own can be put after it.

    Anything that is not ASCII is sent as quoted-printable: cloud-init decodes the message to text first, and 8-bit
    text would then reach the part as \\u escapes. The boundary follows the content: Python's own is random.
    """
    boundary = f"imgbuild-{hashlib.sha256(user_data).hexdigest()[:32]}"
    body, encoding = user_data, "7bit"
    if not user_data.isascii():
        body, encoding = quopri.encodestring(user_data), "quoted-printable"
    head = (
        f'Content-Type: multipart/mixed; boundary="{boundary}"\nMIME-Version: 1.0\n\n'
        f'--{boundary}\nContent-Type: text/cloud-config; charset="utf-8"\nMIME-Version: 1.0\n'
        f"Content-Transfer-Encoding: {encoding}\n"
        'Content-Disposition: attachment; filename="imgbuild.cfg"\n\n'
    )
    return head.encode() + body + f"\n--{boundary}--\n".encode()


def forms(seed: Mapping[str, bytes], small: bytes | None = None) -> dict[str, bytes]:
    """The forms of one node's user-data by file name. ``small``: the one that fetches its files itself."""
    plain = seed["user-data"]
    multipart = mime(plain)
    out = {
        "user-data": plain,
        "user-data.gz": gzipped(plain),
        "user-data.mime": multipart,
        "user-data.mime.gz": gzipped(multipart),
    }
    if small is not None:
        out["user-data.include"] = small
        out["user-data.include.gz"] = gzipped(small)
    return out


def cloud_sizes(made: Mapping[str, bytes]) -> list[SizeRow]:
    """Every one of `forms` against every cloud."""
    rows = []
    for provider, limit in LIMITS.items():
        for form, data in made.items():
            # GCP's values are text: binary data goes there as base64 (user-data-encoding).
            encoded = limit.base64 or (provider == "gcp" and form.endswith(".gz"))
            size = -(-len(data) // 3) * 4 if encoded else len(data)
            rows.append(SizeRow(provider, form, size, limit.most))
    return rows


def cloud_files(profile: Profile, node: Node, made: Mapping[str, bytes], rows: Sequence[SizeRow]) -> dict[str, bytes]:
    """What lies in cloud/NAME/: every one of `forms`, and a table of `cloud_sizes` for people and for programs."""
    described = [
        {"provider": r.provider, "form": r.form, "bytes": r.bytes, "limit": r.limit, "fits": r.fits} for r in rows
    ]
    return {
        **made,
        "sizes.json": f"{json_text(described)}\n".encode(),
        "SIZES.txt": _table(profile, node, rows).encode(),
    }


def _table(profile: Profile, node: Node, rows: Sequence[SizeRow]) -> str:
    lines = [f"user-data of {node.name} against each cloud's limit, in the bytes that the cloud counts", ""]
    lines.append(f"{'cloud':<11}{'file':<22}{'bytes':>9}{'limit':>9}")
    for row in rows:
        verdict = "fits" if row.fits else f"{row.bytes - row.limit} over"
        lines.append(f"{LIMITS[row.provider].title:<11}{row.form:<22}{row.bytes:>9}{row.limit:>9}  {verdict}")
    lines += ["", *(f"{limit.title}: {limit.source}" for limit in LIMITS.values())]
    named = ", ".join(LIMITS[p].title for p in profile.cloud.providers) or "none"
    return "\n".join([*lines, "", f"Clouds that the profile names: {named}", ""])


def limit_findings(profile: Profile, name: str, rows: Sequence[SizeRow], mark: Mark | None) -> list[Finding]:
    """One finding a cloud that takes no form of this node's user-data: an error if the profile names it."""
    out = []
    for provider, limit in LIMITS.items():
        here = [row for row in rows if row.provider == provider]
        if not here or any(row.fits for row in here):
            continue
        least = min(here, key=lambda row: row.bytes)
        named = provider in profile.cloud.providers
        over = (
            f"{name}: the smallest user-data ({least.form}) is {least.bytes} bytes"
            f"{' of base64' if limit.base64 or provider == 'gcp' else ''}, "
            f"{least.bytes - least.limit} over {limit.title}'s limit of {least.limit}"
        )
        out.append(
            finding(
                "IB701",
                over,
                hint=_advice(profile),
                key="cloud.providers",
                mark=mark if named else None,
                lesser=not named,
            )
        )
    return out


def _advice(profile: Profile) -> str:
    if profile.cloud.include_url is not None:
        return "what is left is this node's own: make files: and run: shorter, or give the node a seed ISO"
    if profile.mode == "baked":
        return "make files: and run: shorter, or give the node a seed ISO: the image already holds the rest"
    return (
        "set cloud.include_url to an address where you put the node files: user-data.include then fetches them there "
        "and checks their sha256, which cloud-init's own #include does not; or build an image (mode: baked)"
    )
