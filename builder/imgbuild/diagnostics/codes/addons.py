"""Addons."""

from __future__ import annotations

from imgbuild.diagnostics.codes.row import Code
from imgbuild.diagnostics.severity import Severity

ERROR = Severity.ERROR
WARNING = Severity.WARNING
_SHA = "a" * 64

CODES = (
    Code(
        "IB680",
        ERROR,
        "A name of an addon that is taken",
        why="An addon's name is that of its release and of its folder on the node.",
        fix="Use another name.",
        bad="addons: [{name: a, manifest: '{apiVersion: v1, kind: Namespace, metadata: {name: a}}'}, {name: a, manifest: '{apiVersion: v1, kind: Namespace, metadata: {name: b}}'}]",  # noqa: E501
        good="addons: [{name: a, manifest: '{apiVersion: v1, kind: Namespace, metadata: {name: a}}'}, {name: b, manifest: '{apiVersion: v1, kind: Namespace, metadata: {name: b}}'}]",  # noqa: E501
    ),
    Code(
        "IB681",
        ERROR,
        "It is unclear what an addon applies",
        why="An addon is a manifest, a manifest at an address, or a chart from a repository, a registry or a file.",
        fix="Give it exactly one of them.",
        bad="addons: [{name: a, chart: a, version: 1.0.0}]",
        good="addons: [{name: a, chart: a, version: 1.0.0, repository: https://charts.example.com}]",
    ),
    Code(
        "IB682",
        ERROR,
        "An addon is not pinned",
        why="What first boot fetches would differ from day to day.",
        fix="Add `version`, and `sha256` for what is fetched from an address.",
        bad="addons: [{name: a, url: https://example.com/a.yaml}]",
        good=f"addons: [{{name: a, url: https://example.com/a.yaml, sha256: {_SHA}}}]",
    ),
    Code(
        "IB683",
        WARNING,
        "A key of an addon that has no effect",
        why="The key belongs to another kind of addon.",
        fix="Remove it.",
        bad="addons: [{name: a, version: 1.0.0, manifest: '{apiVersion: v1, kind: Namespace, metadata: {name: a}}'}]",
        good="addons: [{name: a, manifest: '{apiVersion: v1, kind: Namespace, metadata: {name: a}}'}]",
    ),
    Code(
        "IB684",
        ERROR,
        "A manifest that kubectl cannot apply",
        why="kubectl apply requires YAML whose objects have an API version, a kind and a name.",
        fix="Correct the manifest.",
        bad="addons: [{name: a, manifest: 'kind: Namespace'}]",
        good="addons: [{name: a, manifest: '{apiVersion: v1, kind: Namespace, metadata: {name: a}}'}]",
    ),
)
"""The rows of this family."""
