"""Which format of the disk image a system gets, where it fetches it, and its sha256."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from imgbuild.config.profile.extras import Format
from imgbuild.export.given import Given
from imgbuild.facts.formats import FORMATS

OF_IRONIC: tuple[Format, ...] = ("raw", "qcow2", "qcow2-zstd", "vmdk")
"""What Ironic can read, which Metal3 uses too (``spec.image.format``): the cheapest for the installer first."""
_SHORT = "--image-url https://files.example.com/images/"


@dataclass(frozen=True)
class Source:
    """An image that a system fetches. ``sha256`` is empty if nobody knows it, which is a finding."""

    url: str
    sha256: str
    form: Format | None
    """None: the address does not tell, such as that of a registry."""


def fetched(given: Given, system: str, forms: Sequence[Format], *, checked: bool = True) -> Source | None:
    """The image as ``system`` fetches it; None if there is none, which is a finding.

    ``forms``: what the system can read, the best first. An address that ends in a slash is a folder with the files of
    ``image/``. ``checked``: whether the system compares a checksum; if not, that is a finding for plain HTTP.
    """
    url = given.options.image_url
    if url is None:
        given.tell("IB880", None, (), f"{system} fetches the image, and no address is given", f"pass {_SHORT}")
        return None
    if url.endswith("/") and given.resolved.profile.mode == "stock":
        given.tell(
            "IB880", None, (), f"{url} is a folder, and in stock mode no image is built whose name would be known",
            "pass the address of the distribution's cloud image itself",
        )  # fmt: skip
        return None
    if url.endswith("/"):
        name = _chosen(given, forms)
        url += name
    name = urlsplit(url).path.rpartition("/")[2]
    form = form_of(name)
    if form not in forms:
        given.tell(
            "IB882", None, (), f"{system} cannot read {name or url}",
            f"pass the address of one of these: {', '.join(f'*{FORMATS[each].suffix}' for each in forms)}; "
            f"--set 'image.formats=[{forms[0]}]' builds the first",
        )  # fmt: skip
        return None
    if not checked:
        _unchecked(given, system, url)
        return Source(url, "", form)
    return Source(url, sha256(given, name), form)


def sha256(given: Given, name: str) -> str:
    """The sha256 of the image's file ``name``: that of the options, else that of the build; empty with a finding."""
    if given.options.image_sha256 is not None:
        return given.options.image_sha256
    found = given.built.sums.get(name)
    if found is None:
        there = f"the output folder has {', '.join(sorted(given.built.sums))}" if given.built.sums else "none is built"
        given.tell(
            "IB881", None, (), f"the checksum of {name} is not known: {there}",
            "build the image first, with this name, this format in image.formats and the same --output; or pass "
            "--image-sha256",
        )  # fmt: skip
        return ""
    _stale(given)
    return found


def local(given: Given, system: str, forms: Sequence[Format]) -> str:
    """The name of the image's file for a system that takes it from a disk: the best form of those that are built."""
    if given.resolved.profile.mode == "stock":
        given.tell(
            "IB880", None, (), "in stock mode the image is the distribution's cloud image, whose file is not known",
            "pass its address with --image-url, and --image-sha256",
        )  # fmt: skip
    elif given.built.sums:
        built = [name for name in given.built.sums if form_of(name) in forms]
        if not built:
            given.tell(
                "IB882", None, (), f"{system} reads none of the formats that are built: "
                f"{', '.join(sorted(given.built.sums))}",
                f"build one that it reads: --set 'image.formats=[{forms[0]}]'",
            )  # fmt: skip
        _stale(given)
    return _chosen(given, forms)


def on_host(given: Given, system: str, forms: Sequence[Format]) -> tuple[str, Source | None]:
    """The name of the image's file on the system's host, and where a script there fetches it: None if it is copied."""
    if given.options.image_url is not None:
        source = fetched(given, system, forms)
        if source is not None:
            return source.url.rpartition("/")[2], source
    return local(given, system, forms), None


def form_of(name: str) -> Format | None:
    """The form of a file by its name."""
    fitting = [form for form, about in FORMATS.items() if name.endswith(about.suffix)]
    return max(fitting, key=lambda form: len(FORMATS[form].suffix), default=None)


def _chosen(given: Given, forms: Sequence[Format]) -> str:
    """The name of the best format that is built, else of the best that the profile asks for, else of the best."""
    for known in ([form_of(name) for name in given.built.sums], given.resolved.profile.image.formats):
        for form in forms:
            if form in known:
                return given.name + FORMATS[form].suffix
    return given.name + FORMATS[forms[0]].suffix


def _stale(given: Given) -> None:
    if not given.built.current:
        given.tell(
            "IB881", None, (), "the image in the output folder was built from other input than these nodes",
            "build it again, without --no-image, before machines get these files", lesser=True,
        )  # fmt: skip


def _unchecked(given: Given, system: str, url: str) -> None:
    if urlsplit(url).scheme == "http":
        given.tell(
            "IB886", None, (), f"{system} does not compare a checksum, and {urlsplit(url).hostname} is asked over http",
            "serve the image over https",
        )  # fmt: skip
