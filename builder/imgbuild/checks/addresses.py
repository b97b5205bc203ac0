"""Addresses that cannot be right: gone or frozen, for another release or version, or for another architecture.

profiles/versions/addresses.yaml lists those that are known to be gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

from imgbuild.checks.context import Context
from imgbuild.config.data import versions
from imgbuild.config.flow import flow
from imgbuild.diagnostics.findings import Path, format_path
from imgbuild.facts.derive import minor, version

_REPOSITORIES = ("distribution", "security", "elrepo", "epel", "kubernetes")
_ARCHIVES = ("helm", "binary", "base", "images")
_MACHINES = re.compile(
    r"(?<![a-z0-9])(aarch64|arm64|armhf|armv[5-8][a-z]*|ppc64(?:le|el)?|s390x|riscv64|loong(?:arch)?64|mips64(?:el)?|"
    r"i[3-6]86|(?<=linux[-_])(?:arm|386))(?![a-z0-9])",
    re.IGNORECASE,
)
_SYSTEMS = re.compile(r"(?<![a-z0-9])(darwin|macos|windows|freebsd)(?![a-z0-9])", re.IGNORECASE)
_OURS = re.compile(r"(?<![a-z0-9])(x86[_-]64|amd64|x64)(?![a-z0-9])", re.IGNORECASE)
_HELM = re.compile(r"(linux|darwin|windows|freebsd)-[a-z0-9]+\.(tar\.gz|zip)$")
_MINOR = re.compile(r"/v([0-9]+\.[0-9]+)(?=/|$)")
# Kubernetes' own layout, also at mirrors: /core:/stable:/v1.35/rpm/.
_CORE = re.compile(r"(.*/core:?/(?:stable|prerelease):?)(?:/(.*))?")
_RELEASE = re.compile(r"([0-9]{1,2})(?:\.[0-9]+){0,2}(?:-stream)?")
_VAULT = re.compile(r"(?://vault\.centos\.org|/centos-vault)/?$")
_ELREPO = re.compile(r"((?:/linux|/elrepo)/)(elrepo|extras|testing)(?=/el[0-9]+(?:/|$))")
_DISTRIBUTIONS = {
    "debian": re.compile(r"(?<![a-z])(centos|epel|rocky|almalinux|fedora|rhel|ubuntu)", re.IGNORECASE),
    "el": re.compile(r"(?<![a-z])(debian|ubuntu)", re.IGNORECASE),
}


def check(context: Context) -> None:
    """All findings about addresses of packages, archives and images."""
    for path, kind, url in _addresses(context):
        if not _other_release(context, path, kind, url) and not _gone(context, path, kind, url):
            _part(context, path, kind, url)
            _machine(context, path, kind, url)


def _addresses(context: Context) -> Iterator[tuple[Path, str, str]]:
    profile, ours = context.profile, context.target.repositories
    for name in _REPOSITORIES:
        if name in ("elrepo", "epel") and getattr(ours, name) is None:
            continue  # not read
        for index, url in enumerate(getattr(profile.repositories, name) or ()):
            yield ("repositories", name, index), name, url
    if profile.helm.enabled:
        yield from ((("helm", "urls", index), "helm", url) for index, url in enumerate(profile.helm.urls))
    for name, binary in profile.kubernetes.binaries.items():
        for index, url in enumerate(binary.urls):
            yield ("kubernetes", "binaries", name, "urls", index), "binary", url
    for number, archive in enumerate(profile.containerd.images):
        for index, url in enumerate(archive.urls):
            yield ("containerd", "images", number, "urls", index), "images", url
        yield ("containerd", "images", number, "name"), "images", f"file:///{archive.name}"
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
        context.report("IB444", path, f"{row['why']}", _instead(context, path, fix), lesser=frozen)
        return True
    return False


def _instead(context: Context, path: Path, url: str) -> str:
    """The fix: another address in place of this one, in quotes where YAML needs them.

    A profile's addresses have no variables: $ means something in a shell.
    """
    url = url.replace("$basearch", "x86_64")
    if path == ("kubernetes", "image_repository"):
        return f"set {format_path(path)}: {url}, or a mirror of it"
    if path[0] != "repositories":
        return f"replace it with {flow(url)}"
    key = format_path(path[:2])
    if len(getattr(context.profile.repositories, str(path[1])) or ()) == 1:
        return f"set {key}: {flow([url])}, or null for the target's own"
    return f"replace it with {flow(url)}, or set {key}: null for the target's own"


def _own_release(context: Context) -> str:
    """In the form that the target's own archive uses: 7.9.2009."""
    found = re.search(r"[0-9]+(\.[0-9]+)+", context.target.name)
    return found[0] if found else context.target.os_release.version_id


def _other_release(context: Context, path: Path, kind: str, url: str) -> bool:
    """Packages of another distribution or release, whose repository cannot be replaced by one of that release."""
    target, parts = context.target, urlsplit(url)
    if kind not in _REPOSITORIES[:4]:
        return False
    other = _DISTRIBUTIONS["debian" if target.package_manager == "apt" else "el"].search(f"{parts.netloc}{parts.path}")
    what = f"for {other[1]}" if other is not None else ""
    if other is None and target.family == "el":
        own = target.os_release.version_id.partition(".")[0]
        segments = [part for part in parts.path.split("/") if part]
        found = [m[1] for part in segments if (m := _RELEASE.fullmatch(part) or re.fullmatch(r"el([0-9]{1,2})", part))]
        found += [value.partition(".")[0] for value in parse_qs(parts.query).get("release", [])]
        what = f"for release {found[0]}" if found and found[0] != own else ""
        if not what and any(part.endswith("-stream") for part in segments) and "tream" not in target.name:
            what = "for CentOS Stream"
    if what:
        ours = getattr(getattr(target.repositories, kind, None), context.profile.repositories.region, ())
        fix = _instead(context, path, ours[0]) if ours else f"set {format_path(path[:2])}: null for the target's own"
        context.report("IB445", path, f"this repository is {what}, but the target is {target.name}", fix)
    return bool(what)


def _part(context: Context, path: Path, kind: str, url: str) -> None:
    """An address above or below that of the repository."""
    found = None
    if kind == "kubernetes":
        found = _kubernetes(context, url)
    elif kind in ("distribution", "security") and context.target.package_manager == "apt":
        cut = re.fullmatch(r"(.*?)/(dists|pool)(?:/.*)?", url)
        if cut is not None:
            found = f"{cut[2]} is a folder in the repository, which apt adds by itself", cut[1]
    elif kind == "distribution":
        found = _layout(context, url)
    elif kind == "elrepo" and (tree := _ELREPO.search(url)):
        what = f"kernel-ml and kernel-lt are in ELRepo's repository kernel, not in {tree[2]}"
        found = what, _ELREPO.sub(r"\1kernel", url, count=1)
    if found is not None:
        context.report("IB445", path, found[0], _instead(context, path, found[1]))


def _layout(context: Context, url: str) -> tuple[str, str] | None:
    """What is wrong with a mirror of Enterprise Linux, below which imgbuild looks for its repositories."""
    if _VAULT.search(url):
        return "the release is missing in this address", f"{url.rstrip('/')}/{_own_release(context)}/"
    segments = url.rstrip("/").split("/")
    for below in context.target.repositories.layout.values():
        wanted = below.replace("$basearch", "x86_64").split("/")
        for count in range(len(wanted), 0, -1):
            if segments[-count:] == wanted[:count] and _RELEASE.fullmatch(segments[-count - 1]):
                base = "/".join(segments[:-count])
                return f"imgbuild adds {below} and the other repositories of the release to this address", f"{base}/"
    return None


def _kubernetes(context: Context, url: str) -> tuple[str, str] | None:
    """What is wrong with a repository of Kubernetes, and the address that is right."""
    release = context.profile.kubernetes.version
    wanted, other = ("deb", "rpm") if context.target.package_manager == "apt" else ("rpm", "deb")
    kinds = f"this repository has {other} packages, but {context.target.name} needs {wanted}"
    core = _CORE.fullmatch(url)
    if core is None:
        found = _MINOR.search(url)
        if found is not None and version(found[1]) != version(minor(release)):
            right = url.replace(found[0], "/v{minor}", 1)
            return f"this repository has Kubernetes {found[1]}, but kubernetes.version is {release}", right
        return (kinds, url.replace(f"/{other}", f"/{wanted}", 1)) if other in url.split("/") else None
    first, kind, *rest = [*(part for part in (core[2] or "").split("/") if part), "", ""]
    more = "/".join(filter(None, rest))
    right = f"{core[1]}/v{{minor}}/{wanted}/"
    number = first.removeprefix("v")
    if not re.fullmatch(r"v(?:[0-9]+\.[0-9]+(?:\.[0-9]+)?|\{minor\})", first):
        return "the minor version is missing in this address: each has its own repository", right
    if number.count(".") == 2:
        return f"there is a repository for each minor version, none for {number}", right
    if number != "{minor}" and version(number) != version(minor(release)):
        return f"this repository has Kubernetes {number}, but kubernetes.version is {release}", right
    if kind == other:
        return kinds, right
    if kind != wanted:
        return f"{wanted} is missing at the end of this address", right
    return (f"{more} is a part of the repository, not its address", right) if more else None


def _machine(context: Context, path: Path, kind: str, url: str) -> None:
    if kind == "image_repository":
        return
    where = urlsplit(url).path
    file = where.rstrip("/").rpartition("/")[2]
    found = _SYSTEMS.search(file) if kind in _ARCHIVES else None
    for text in (file, where):
        if found is None and _OURS.search(text):
            return
        found = found or _MACHINES.search(text)
    if found is None:
        return
    fix = "write x86_64 instead"
    if kind == "helm" and _HELM.search(url):
        fix = f"replace it with {_HELM.sub('linux-amd64.tar.gz', url)}, with its sha256"
    elif kind in _ARCHIVES:
        fix = "give the one for x86_64 (amd64), with its sha256"
    context.report("IB446", path, f"this is for {found[1]}, but imgbuild builds x86_64 Linux nodes", fix)
