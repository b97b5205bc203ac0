"""Addresses that cannot be right: gone or frozen, for another release or version, or for another architecture.

profiles/versions/addresses.yaml lists those that are known to be gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

from imgbuild.checks.context import Context
from imgbuild.config.data import versions
from imgbuild.diagnostics.findings import Path
from imgbuild.facts.derive import minor, version

_REPOSITORIES = ("distribution", "security", "elrepo", "epel", "kubernetes")
_MACHINES = re.compile(
    r"(?<![a-z0-9])(aarch64|arm64|armhf|armv[5-8][a-z]*|ppc64(?:le|el)?|s390x|riscv64|loong(?:arch)?64|mips64(?:el)?|"
    r"i[3-6]86|darwin|windows|freebsd)(?![a-z0-9])",
    re.IGNORECASE,
)
_OURS = re.compile(r"(?<![a-z0-9])(x86[_-]64|amd64|x64)(?![a-z0-9])", re.IGNORECASE)
_MINOR = re.compile(r"/v([0-9]+\.[0-9]+)(?=/|$)")
_RELEASE = re.compile(r"([0-9]{1,2})(?:\.[0-9]+){0,2}(?:-stream)?")
_DISTRIBUTIONS = {
    "debian": re.compile(r"(?<![a-z])(centos|epel|rocky|almalinux|fedora|rhel|ubuntu)", re.IGNORECASE),
    "el": re.compile(r"(?<![a-z])(debian|ubuntu)", re.IGNORECASE),
}


def check(context: Context) -> None:
    """All findings about addresses of packages, archives and images."""
    for path, kind, url in _addresses(context):
        if not _gone(context, path, kind, url):
            _mismatch(context, path, kind, url)
            _machine(context, path, kind, url)


def _addresses(context: Context) -> Iterator[tuple[Path, str, str]]:
    profile = context.profile
    for name in _REPOSITORIES:
        for index, url in enumerate(getattr(profile.repositories, name) or ()):
            yield ("repositories", name, index), name, url
    if profile.helm.enabled:
        yield from ((("helm", "urls", index), "helm", url) for index, url in enumerate(profile.helm.urls))
    for name, binary in profile.kubernetes.binaries.items():
        for index, url in enumerate(binary.urls):
            yield ("kubernetes", "binaries", name, "urls", index), "binary", url
    if profile.base.source is not None and "://" in profile.base.source:
        yield ("base", "source"), "base", profile.base.source
    if profile.kubernetes.enabled:
        yield ("kubernetes", "image_repository"), "image_repository", f"oci://{profile.kubernetes.image_repository}"


def _gone(context: Context, path: Path, kind: str, url: str) -> bool:
    address, release = url.partition("://")[2], context.profile.kubernetes.version
    for row in versions("addresses")["gone"]:
        if kind not in row["of"] or not re.search(row["match"], address):
            continue
        frozen = "until" in row and version(minor(release)) <= version(row["until"])
        fix = row["instead"].format(
            minor="{minor}",  # imgbuild puts it in: right with any version
            format="deb" if context.target.package_manager == "apt" else "rpm",
            release=_own_release(context),
            helm=context.profile.helm.version,
        )
        context.report("IB444", path, f"{row['why']}", f"set {_key(path)} to {fix}", lesser=frozen)
        return True
    return False


def _key(path: Path) -> str:
    return ".".join(part for part in path if isinstance(part, str))


def _own_release(context: Context) -> str:
    """In the form that the target's own archive uses: 7.9.2009."""
    found = re.search(r"[0-9]+(\.[0-9]+)+", context.target.name)
    return found[0] if found else context.target.os_release.version_id


def _mismatch(context: Context, path: Path, kind: str, url: str) -> None:
    target, parts = context.target, urlsplit(url.replace("{minor}", minor(context.profile.kubernetes.version)))
    segments = [part for part in parts.path.split("/") if part]
    if kind == "kubernetes":
        _kubernetes(context, path, parts.path, segments)
    if kind not in _REPOSITORIES[:4]:
        return
    other = _DISTRIBUTIONS["debian" if target.package_manager == "apt" else "el"].search(f"{parts.netloc}{parts.path}")
    if other is not None:
        context.report(
            "IB445", path, f"this repository is for {other[1]}, but the target is {target.name}",
            f"set {_key(path)} to a repository of {target.name}, or null for the target's own",
        )  # fmt: skip
        return
    if target.family != "el":
        return
    own = target.os_release.version_id.partition(".")[0]
    found = [m[1] for part in segments if (m := _RELEASE.fullmatch(part) or re.fullmatch(r"el([0-9]{1,2})", part))]
    found += [value.partition(".")[0] for value in parse_qs(parts.query).get("release", [])]
    if found and found[0] != own:
        context.report(
            "IB445", path, f"this repository is for release {found[0]}, but the target is {target.name}",
            f"set {_key(path)} to a repository of {target.name}, or null for the target's own",
        )  # fmt: skip


def _kubernetes(context: Context, path: Path, where: str, segments: list[str]) -> None:
    release = context.profile.kubernetes.version
    found = _MINOR.search(f"{where}/")
    if found is not None and version(found[1]) != version(minor(release)):
        context.report(
            "IB445", path, f"this repository has Kubernetes {found[1]}, but kubernetes.version is {release}",
            f"put v{minor(release)} into the address, or the placeholder {{minor}}",
        )  # fmt: skip
    wanted, other = ("deb", "rpm") if context.target.package_manager == "apt" else ("rpm", "deb")
    if other in segments:
        context.report(
            "IB445", path, f"this repository has {other} packages, but {context.target.name} needs {wanted}",
            f"replace {other} with {wanted} in the address",
        )  # fmt: skip


def _machine(context: Context, path: Path, kind: str, url: str) -> None:
    if kind == "image_repository":
        return
    where = urlsplit(url).path
    file = where.rstrip("/").rpartition("/")[2]
    for text in (file, where):
        if _OURS.search(text):
            return
        found = _MACHINES.search(text)
        if found is not None:
            context.report(
                "IB446", path, f"this is for {found[1]}, but imgbuild builds x86_64 Linux nodes",
                "give the address for x86_64 (amd64), with its sha256" if kind in ("helm", "binary", "base")
                else "write $basearch or x86_64 instead",
            )  # fmt: skip
            return
