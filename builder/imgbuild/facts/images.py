"""Which container images the nodes of a profile pull, and from where.

kubeadm's own list, Cilium's by its chart and values, the pause image, kube-vip, the balancer and the user's own.
Everything here is pure: the tables are profiles/versions/kubernetes-images.yaml and cilium-images.yaml, taken from
kubeadm and from the charts themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from imgbuild.config.cluster import Cluster
from imgbuild.config.data import versions
from imgbuild.config.profile import Profile
from imgbuild.diagnostics.findings import Path
from imgbuild.facts import addons, derive
from imgbuild.facts.cilium_values import chart_values
from imgbuild.facts.conditions import Configuration, truth
from imgbuild.facts.kubeadm import etcd, section
from imgbuild.facts.registries import Source, mirrors, source
from imgbuild.facts.resolved import Resolved

UPSTREAM = "registry.k8s.io"
"""kubeadm's default repository; only there CoreDNS has a folder of its own (cmd/kubeadm/app/images, GetDNSImage)."""


@dataclass(frozen=True)
class Image:
    """One image that a node pulls.

    ``name`` has registry and path, and the tag unless it is requested by its digest alone; ``part`` is what it is for;
    ``key`` is the setting that decides about it, in the cluster file if ``in_cluster_file``. ``by_digest``: it is
    requested by digest, so that an archive which has the image by its tag only is not enough; ``digest`` is that one,
    None if only the chart has it.
    """

    name: str
    part: str
    key: Path
    in_cluster_file: bool = False
    by_digest: bool = False
    digest: str | None = None

    @property
    def registry(self) -> str:
        """The registry as containerd names it; the first part of the name is one if it looks like a host."""
        first, slash, _ = self.name.partition("/")
        return first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"

    @property
    def reference(self) -> str:
        """The name as it is requested, with the digest if that is known."""
        return f"{self.name}@{self.digest}" if self.digest is not None else self.name

    @property
    def path(self) -> str:
        """The path below the registry, without the tag. docker.io's own images are in the folder library."""
        rest = self.name.removeprefix(f"{self.registry}/").removesuffix(f":{self.tag}" if self.tag else "")
        return f"library/{rest}" if self.registry == "docker.io" and "/" not in rest else rest

    @property
    def tag(self) -> str | None:
        """The tag, if it is requested by one."""
        _, found, tag = self.name.rpartition("/")[2].partition(":")
        return tag if found else None

    def stored_as(self, digest: str) -> list[str]:
        """The names under which the kubelet finds the image with this digest in containerd, as a pull stores it.

        A reference that has a tag and a digest is looked up by its digest alone (ParseDockerRef in containerd's
        reference/docker, 1.6 to 2.3).
        """
        place = f"{self.registry}/{self.path}"
        return [*([f"{place}:{self.tag}"] if self.tag else []), f"{place}@{digest}"]


def images(resolved: Resolved, cluster: Cluster) -> list[Image]:
    """Every image, in the order in which first boot needs them. The same name is listed once, for its first part."""
    found: dict[str, Image] = {}
    for image in _all(resolved, cluster):
        found.setdefault(image.reference, image)
    return list(found.values())


def sources(profile: Profile, image: Image) -> list[Source]:
    """Where containerd requests this image, in its order: the mirrors, then the registry itself."""
    registries = profile.containerd.registries
    named = registries.get(image.registry)
    if named is not None:
        return [*mirrors(named), source(named.server)]
    default = registries.get("_default")
    return [*(mirrors(default) if default is not None else ()), Source("https", image.registry, "")]


def addresses(profile: Profile, image: Image) -> list[str]:
    """The URLs of `sources`."""
    return [one.url for one in sources(profile, image)]


def mirrored(profile: Profile, image: Image) -> bool:
    """Whether a mirror is tried before the registry itself."""
    return len(addresses(profile, image)) > 1


def _all(resolved: Resolved, cluster: Cluster) -> Iterator[Image]:
    profile = resolved.profile
    kubernetes = profile.kubernetes
    own = profile.containerd.sandbox_image is not None or not kubernetes.enabled
    sandbox: Path = ("containerd", "sandbox_image") if own else ("kubernetes", "image_repository")
    yield Image(resolved.sandbox_image, "pause", sandbox)
    for number, reference in enumerate(profile.images.extra):
        yield _referenced(reference, "extra", ("images", "extra", number))
    if not kubernetes.enabled:
        return
    if cluster.vip is not None:
        yield _referenced(cluster.vip.image, "kube-vip", ("vip", "image"), in_cluster_file=True)
    if cluster.balancer is not None:
        yield _referenced(cluster.balancer_image, "balancer", ("balancer_image",), in_cluster_file=True)
    yield from _kubeadm(profile)
    if profile.cilium.enabled:
        yield from cilium_images(profile.cilium.version, chart_values(profile, cluster))
    for number, addon in enumerate(profile.addons):
        for name in addons.images(addon):
            tagged = name if "@" in name or ":" in name.rpartition("/")[2] else f"{name}:latest"
            yield _referenced(tagged, f"addon {addon.name}", ("addons", number, "manifest"))


def _referenced(reference: str, part: str, key: Path, *, in_cluster_file: bool = False) -> Image:
    """An image by the reference that a pod has for it: NAME:TAG, NAME@DIGEST or NAME:TAG@DIGEST."""
    name, _, digest = reference.partition("@")
    return Image(name, part, key, in_cluster_file, by_digest=bool(digest), digest=digest or None)


def _kubeadm(profile: Profile) -> Iterator[Image]:
    kubernetes = profile.kubernetes
    repository, key = kubernetes.image_repository, ("kubernetes", "image_repository")
    parts = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"]
    if kubernetes.kube_proxy:
        parts.append("kube-proxy")
    for part in parts:
        yield Image(f"{repository}/{part}:v{kubernetes.version}", part, key)
    tables = versions("kubernetes-images")
    local = section(profile, "etcd").get("local")
    own = {"coredns": section(profile, "dns"), "etcd": local if isinstance(local, dict) else {}}
    keys: dict[str, Path] = {"coredns": ("dns",), "etcd": ("etcd", "local")}
    for part in ("coredns",) if etcd(profile).external else ("coredns", "etcd"):
        at = own[part].get("imageRepository")
        tag = own[part].get("imageTag") or _since(tables[part], kubernetes.version)
        folder = "coredns/" if part == "coredns" and (at or repository) == UPSTREAM else ""
        path = ("kubernetes", "kubeadm", *keys[part], "imageRepository") if at else key
        if tag is not None:
            yield Image(f"{at or repository}/{folder}{part}:{tag}", part, path)


def cilium_images(chart: str, values: Mapping[str, Any]) -> Iterator[Image]:
    """The images of this chart with these values. ``values``: those passed to helm, without the defaults."""
    table = versions("cilium-images")
    asked = _Values(chart, values, table["defaults"])
    enabled = Configuration(asked.at, derive.version(chart), matches=truth)
    for part, row in table["images"].items():
        reference = _since(row["refs"], chart)
        if reference is None or not enabled.holds(row["when"]):
            continue
        name, tag = reference.replace("{chart}", chart).rsplit(":", 1)
        own = asked.at(row["key"])
        path: Path = ("cilium", "values", *row["key"].split("."))
        if isinstance(own, str):  # SPIRE's in the chart 1.14
            yield _referenced(own, f"cilium {part}", path)
            continue
        own = own if isinstance(own, dict) else {}
        if own.get("override"):
            yield _referenced(str(own["override"]), f"cilium {part}", (*path, "override"))
            continue
        name, tag = own.get("repository") or name, own.get("tag") or tag
        if part == "operator":
            name += f"-{asked.cloud()}{own.get('suffix') or ''}"
        asks = own.get("useDigest")
        by_digest = bool(_since(row.get("digest", {}), chart, True) if asks is None else asks)
        # The operator's digest has the cloud's name before it: genericDigest.
        digest = own.get(f"{asked.cloud()}Digest" if part == "operator" else "digest") if by_digest else None
        yield Image(
            f"{name}:{tag}", f"cilium {part}", (*path, "repository"), by_digest=by_digest, digest=digest or None
        )


def known_until(table: str, release: str) -> str | None:
    """The last patch of this release's minor that the table was made from, if ``release`` is later."""
    last = versions(table)["last"].get(derive.minor(release))
    return str(last) if last is not None and derive.version(release) > derive.version(last) else None


def _since(rows: Mapping[str, Any], release: str, otherwise: Any = None) -> Any:
    """The value of the newest row that is not newer than ``release``."""
    wanted = derive.version(release)
    fitting = [row for row in rows if derive.version(row) <= wanted]
    return rows[max(fitting, key=derive.version)] if fitting else otherwise


class _Values:
    """The values that a chart sees: those passed to helm, merged over the chart's own defaults."""

    def __init__(self, chart: str, values: Mapping[str, Any], defaults: Mapping[str, Mapping[str, Any]]) -> None:
        self._chart, self._values, self._defaults = chart, values, defaults

    def at(self, key: str) -> Any:
        here: Any = self._values
        for part in key.split("."):
            here = here.get(part) if isinstance(here, dict) else None
        return _since(self._defaults.get(key, {}), self._chart) if here is None else here

    def cloud(self) -> str:
        """The suffix of the operator's name (the charts' cilium-operator/_helpers.tpl)."""
        clouds = {"eni": "aws", "azure": "azure", "alibabacloud": "alibabacloud"}
        return next((name for key, name in clouds.items() if self.at(f"{key}.enabled")), "generic")
