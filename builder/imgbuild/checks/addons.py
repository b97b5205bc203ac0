"""Addons: what helm or kubectl would refuse, on the node, after everything else has worked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from imgbuild.checks.context import Context
from imgbuild.config.profile.addons import Addon
from imgbuild.diagnostics.findings import Path
from imgbuild.facts.addons import documents, kind

_CHART_ONLY = ("repository", "version", "values", "secret_values")


def check(context: Context) -> None:
    """All findings about ``addons``."""
    profile = context.profile
    seen: set[str] = set()
    for number, addon in enumerate(profile.addons):
        at: Path = ("addons", number)
        if not profile.kubernetes.enabled:
            hint = "set kubernetes.enabled: true, or remove it"
            context.report("IB266", (*at, "name"), "this addon is not used: kubernetes.enabled is false", hint)
            continue
        if addon.name in seen:
            context.report("IB680", (*at, "name"), f"duplicate addon {addon.name}", "give it another name")
        elif addon.name == "cilium":
            context.report("IB680", (*at, "name"), "cilium is imgbuild's own release", "give it another name")
        seen.add(addon.name)
        if addon.namespace is not None and addon.namespace.startswith("kube-") and addon.namespace != "kube-system":
            hint = "write kube-system, or a namespace of your own"
            context.report("IB680", (*at, "namespace"), f"{addon.namespace} is Kubernetes' own namespace", hint)
        _kind(context, at, addon)


def _kind(context: Context, at: Path, addon: Addon) -> None:
    of = kind(addon)
    if of is None:
        given = [name for name in ("manifest", "url", "chart") if getattr(addon, name) is not None]
        what = f"{' and '.join(given)} exclude each other" if given else "it has nothing to apply"
        context.report(
            "IB681", (*at, given[-1] if given else "name"), f"{addon.name}: {what}",
            "give it one of manifest (a text, or {file: PATH}), url (with sha256) and chart",
        )  # fmt: skip
        return
    if addon.url is not None and addon.sha256 is None:
        context.report(
            "IB682", (*at, "url"), f"{addon.name}: what is fetched has no checksum",
            "add sha256: the output of `curl -L URL | sha256sum`; or run imgbuild lock with these options",
        )  # fmt: skip
    if addon.url is None and addon.sha256 is not None and of == "manifest":
        context.report("IB683", (*at, "sha256"), f"{addon.name}: nothing is fetched", "remove sha256")
    if of == "chart":
        _chart(context, at, addon)
        return
    for key in _CHART_ONLY:
        if getattr(addon, key):
            context.report("IB683", (*at, key), f"{addon.name} has no chart, and {key} belongs to one", f"remove {key}")
    if of == "manifest":
        for path, message, hint in _manifest(addon):
            context.report("IB684", (*at, *path), f"{addon.name}: {message}", hint)


def _chart(context: Context, at: Path, addon: Addon) -> None:
    chart = str(addon.chart)
    if not context.profile.helm.enabled:
        context.report("IB681", (*at, "chart"), f"{addon.name}: helm is not installed", "set helm.enabled: true")
    if addon.url is None and addon.version is None:
        hint = "add version: `helm show chart` prints the newest"
        context.report("IB682", (*at, "chart"), f"{addon.name}: the chart has no version", hint)
    if addon.url is None and addon.repository is None and not chart.startswith("oci://"):
        hint = "add repository: https://…, or write oci://HOST/PATH, or add url and sha256 of the archive"
        context.report("IB681", (*at, "chart"), f"{addon.name}: the chart {chart} has no repository", hint)
    for key in ("url", "repository"):
        if chart.startswith("oci://") and getattr(addon, key) is not None:
            context.report("IB683", (*at, key), f"{addon.name}: the chart is in a registry", f"remove {key}")
    if addon.url is not None and addon.repository is not None:
        hint = "remove url, or repository"
        context.report("IB683", (*at, "repository"), f"{addon.name}: the chart is fetched from url", hint)
    if addon.secret_values is not None:
        try:
            values = yaml.load(addon.secret_values, yaml.CSafeLoader)
        except (yaml.YAMLError, ValueError):
            values = None
        if not isinstance(values, dict):
            hint = "write KEY: VALUE lines, as in a values.yaml"
            context.report("IB684", (*at, "secret_values"), f"{addon.name}: not a file of values", hint)


def _manifest(addon: Addon) -> Iterator[tuple[Path, str, str]]:
    """What is wrong with a manifest: below which key, what, and the fix."""
    where: Path = ("manifest",)
    try:
        found = documents(addon.manifest or "")
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark is not None else ""
        yield where, f"the manifest is not YAML{line}", "correct its indentation and quotes"
        return
    if not found:
        yield where, "the manifest is empty", "write objects with apiVersion, kind and metadata.name"
    for number, document in enumerate(found, 1):
        yield from ((where, message, hint) for message, hint in _object(addon, number, document))


def _object(addon: Addon, number: int, document: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(document, dict):
        yield f"object {number} is not a mapping", "write apiVersion, kind and metadata"
        return
    metadata = document.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    absent = [key for key in ("apiVersion", "kind") if not isinstance(document.get(key), str)]
    absent += [] if isinstance(metadata.get("name"), str) else ["metadata.name"]
    name = f"{document.get('kind', 'object')} {metadata.get('name', number)}"
    if absent:
        yield f"object {number} has no {' and no '.join(absent)}", "add what is missing; kubectl apply requires it"
    space = metadata.get("namespace")
    if addon.namespace is not None and isinstance(space, str) and space != addon.namespace:
        yield (
            f"{name} is in the namespace {space}, not {addon.namespace}",
            "remove namespace of the addon, or that of the object",
        )
