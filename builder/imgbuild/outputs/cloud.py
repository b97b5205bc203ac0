"""user-data for clouds: plain, MIME multipart and gzip, and whether it fits each cloud's limit.

cloud-init unpacks gzip (user_data.py, convert_string). Files of the node itself are in it as text: compressing them one
by one would leave gzip nothing to compress. What all nodes have is compressed together already (render/packed.py).
"""

from __future__ import annotations

import hashlib
import quopri
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from imgbuild.config.clouds import LIMITS, Provider
from imgbuild.config.profile import Profile
from imgbuild.diagnostics.findings import Finding, Mark, finding, listing
from imgbuild.outputs.jsontext import json_text
from imgbuild.outputs.tree import OutFile

_HEAD = b"\x1f\x8b\x08" + bytes(4) + b"\0\2\xff"  # deflate; no flags, no time; best compression, unknown system


@dataclass(frozen=True)
class SizeRow:
    """One form of user-data and one cloud's limit. ``bytes`` is what that cloud counts."""

    provider: Provider
    form: str
    bytes: int
    limit: int

    @property
    def fits(self) -> bool:
        """Whether the cloud accepts it."""
        return self.bytes <= self.limit


_LONG = re.compile(rb"(?m)^( *[A-Za-z0-9+/=]{4096,}\n)")


def gzipped(data: bytes) -> bytes:
    """The same bytes on every run: no time, no file name.

    Long lines of base64 are members of their own (RFC 1952, 2.2), and only Huffman-coded: matches in them are chance,
    and with the text around them they cost two per cent.
    """
    parts = [part for part in _LONG.split(data) if part] or [b""]
    kinds = [zlib.Z_HUFFMAN_ONLY if _LONG.match(part) else zlib.Z_DEFAULT_STRATEGY for part in parts]
    return b"".join(map(_member, parts, kinds))


def _member(data: bytes, strategy: int) -> bytes:
    stream = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, 9, strategy)
    body = stream.compress(data) + stream.flush()
    end = zlib.crc32(data).to_bytes(4, "little") + (len(data) & 0xFFFFFFFF).to_bytes(4, "little")
    return _HEAD + body + end


def mime(user_data: bytes) -> bytes:
    """One multipart message with ``user_data`` as its part; users can append their own parts.

    Anything that is not ASCII is sent as quoted-printable: cloud-init decodes the message to text first, and 8-bit
    text would then reach the part as \\u escapes. The boundary is derived from the content: Python's own is random.
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


ARCHIVE = "files.tar.gz"
"""The node files for `cloud.include_url`, below cloud/; those of some nodes are below cloud/NAME/."""
_PLAIN, _MIME = "user-data", "user-data.mime"
_JSON, _TEXT = "sizes.json", "SIZES.txt"


class Forms(Mapping[str, bytes]):
    """The forms of one node's user-data by file name. The MIME form is made again when it is read: it is long."""

    __slots__ = ("_forms", "sizes")

    def __init__(self, plain: bytes, small: bytes | None = None) -> None:
        """``small``: the form that fetches its files itself."""
        multipart = mime(plain)
        made = {
            _PLAIN: plain,
            f"{_PLAIN}.gz": gzipped(plain),
            _MIME: multipart,
            f"{_MIME}.gz": gzipped(multipart),
        }
        if small is not None:
            made["user-data.include"] = small
            made["user-data.include.gz"] = gzipped(small)
        self.sizes = {name: len(content) for name, content in made.items()}
        """The length of each."""
        del made[_MIME]
        self._forms = made

    def __iter__(self) -> Iterator[str]:
        return iter(self.sizes)

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, name: str) -> bytes:
        return mime(self._forms[_PLAIN]) if name == _MIME else self._forms[name]


@dataclass(frozen=True)
class SizeTable:
    """The sizes of user-data against each cloud's limit. Nodes whose forms have the same lengths share one.

    ``providers``: the clouds that the profile names.
    """

    rows: Sequence[SizeRow]
    providers: Sequence[Provider]

    @cached_property
    def json(self) -> bytes:
        """As JSON."""
        described = [
            {"provider": r.provider, "form": r.form, "bytes": r.bytes, "limit": r.limit, "fits": r.fits}
            for r in self.rows
        ]
        return f"{json_text(described)}\n".encode()

    @cached_property
    def _text(self) -> str:
        lines = ["", f"{'cloud':<11}{'file':<22}{'bytes':>9}{'limit':>9}"]
        for row in self.rows:
            verdict = "fits" if row.fits else f"{row.bytes - row.limit} over"
            lines.append(f"{LIMITS[row.provider].title:<11}{row.form:<22}{row.bytes:>9}{row.limit:>9}  {verdict}")
        lines += ["", *(f"{limit.title}: {limit.source}" for limit in LIMITS.values())]
        named = ", ".join(LIMITS[p].title for p in self.providers) or "none"
        return "\n".join([*lines, "", f"Clouds that the profile names: {named}", ""])

    def text(self, node: str) -> bytes:
        """As text, with the node's name."""
        head = f"user-data of {node} against each cloud's limit, in the bytes that the cloud counts\n"
        return f"{head}{self._text}".encode()

    def least(self, provider: str) -> SizeRow | None:
        """The smallest form; None if one fits, or none is known."""
        return self._least.get(provider)

    @cached_property
    def _least(self) -> dict[str, SizeRow]:
        out: dict[str, SizeRow] = {}
        for provider in {row.provider for row in self.rows}:
            here = [row for row in self.rows if row.provider == provider]
            if not any(row.fits for row in here):
                out[provider] = min(here, key=lambda row: row.bytes)
        return out


def size_table(sizes: Mapping[str, int], providers: Sequence[Provider]) -> SizeTable:
    """The length of each form compared with every cloud's limit."""
    rows = []
    for provider, limit in LIMITS.items():
        for form, length in sizes.items():
            encoded = limit.base64 or (limit.text_only and form.endswith(".gz"))
            size = -(-length // 3) * 4 if encoded else length
            rows.append(SizeRow(provider, form, size, limit.most))
    return SizeTable(rows, providers)


class CloudGroup(Mapping[str, OutFile]):
    """cloud/: each node's user-data in all forms, and their sizes as text and as JSON.

    ``nodes``: by name; ``archives``: what is for `cloud.include_url`, by node, under "" for all other nodes.
    """

    def __init__(self, nodes: Mapping[str, tuple[Forms, SizeTable]], archives: Mapping[str, bytes]) -> None:
        self._nodes, self._archives = nodes, archives

    def __iter__(self) -> Iterator[str]:
        if "" in self._archives:
            yield ARCHIVE
        for node, (forms, _) in self._nodes.items():
            own = [ARCHIVE] if node in self._archives else []
            yield from (f"{node}/{name}" for name in (*own, *forms, _JSON, _TEXT))

    def __len__(self) -> int:
        return len(self._archives) + sum(len(forms) + 2 for forms, _ in self._nodes.values())

    def __getitem__(self, path: str) -> OutFile:
        node, _, name = path.rpartition("/")
        if name == ARCHIVE:
            return OutFile(self._archives[node], 0o600 if node else 0o644)
        forms, table = self._nodes[node]
        if name == _JSON:
            return OutFile(table.json, 0o600)
        return OutFile(table.text(node) if name == _TEXT else forms[name], 0o600)


@dataclass(frozen=True)
class NodeSizes:
    """The sizes of one node's user-data, with its profile and where that names clouds."""

    profile: Profile
    name: str
    table: SizeTable
    mark: Mark | None


def limit_findings(nodes: Sequence[NodeSizes]) -> list[Finding]:
    """An error for each cloud that the profile names and whose limit no form of some node's user-data fits.

    If the profile names no clouds, there is one note about all of them.
    """
    out = []
    for provider, limit in LIMITS.items():
        named = [node for node in nodes if provider in node.profile.cloud.providers]
        over = [(node, row) for node in named if (row := node.table.least(provider)) is not None]
        if over:
            node, row = max(over, key=lambda one: one[1].bytes)
            message = (
                f"the smallest user-data ({row.form}) is {row.bytes} bytes"
                f"{' of base64' if limit.base64 or limit.text_only else ''}, "
                f"{row.bytes - row.limit} over {limit.title}'s limit of {row.limit}"
            )
            hint, who = _advice(node.profile), [node.name for node, _ in over]
            out.append(finding("IB701", message, hint=hint, key="cloud.providers", mark=over[0][0].mark, who=who))
    unnamed = [node for node in nodes if not node.profile.cloud.providers]
    titles = [limit.title for provider, limit in LIMITS.items() if any(node.table.least(provider) for node in unnamed)]
    if titles:
        message = f"user-data is over the limit of {listing(titles)}; no cloud is named in cloud.providers"
        hint = f"nothing to do unless a node is to run there; then {_advice(unnamed[0].profile)}"
        out.append(finding("IB701", message, hint=hint, key="cloud.providers", lesser=True))
    return out


def _advice(profile: Profile) -> str:
    if profile.cloud.include_url is not None:
        return "the rest is this node's own: make files: and run: shorter, or give the node a seed ISO"
    if profile.mode == "baked":
        return "make files: and run: shorter, or give the node a seed ISO: everything else is in the image already"
    return (
        "set cloud.include_url to an address where you put the node files: user-data.include then fetches them there "
        "and checks their sha256, which cloud-init's own #include does not; or build an image (mode: baked)"
    )
