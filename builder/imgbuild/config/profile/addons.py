"""What first boot applies to the cluster after Cilium: manifests and Helm charts."""

import re
from typing import Annotated

from pydantic import Field

from imgbuild.config.fields import Model, Sha256, Url, pattern
from imgbuild.config.reference import Reference
from imgbuild.config.setting import Setting, Words

AddonName = Annotated[
    str,
    pattern(
        r"(?=.{1,53}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?", "a name has lower-case letters, digits and dashes, at most 53"
    ),
    Words("name"),
]
"""A name of a Helm release has at most 53 letters."""
Namespace = Annotated[
    str,
    pattern(r"(?=.{1,63}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?", "a namespace has lower-case letters, digits and dashes"),
    Words("namespace"),
]
Chart = Annotated[
    str,
    pattern(
        r"[a-z0-9][A-Za-z0-9._-]*|oci://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._-]+)+",
        "write the chart's name in its repository, or oci://HOST/PATH",
    ),
    Words("chart"),
]
ChartVersion = Annotated[
    str,
    pattern(r"v?[0-9]+(\.[0-9]+){0,2}([-+][0-9A-Za-z.+-]+)?", "write one version, such as 4.11.3, not a range"),
    Words("version"),
]


def _has_secret(text: str) -> bool:
    """A Secret with data, or a private key."""
    return "PRIVATE KEY-----" in text or (
        re.search(r"(?m)^kind:[ \t]*[\"']?Secret\b", text) is not None
        and re.search(r"(?m)^(stringData|data):", text) is not None
    )


class Addon(Model):
    """A manifest (``manifest``, or ``url`` alone) or a Helm chart (``chart``)."""

    name: Annotated[
        AddonName,
        Setting("Name of the addon, and of a chart's release. Each name once.", example="ingress-nginx"),
    ]
    manifest: Annotated[
        Annotated[str, Field(min_length=1), Reference(_has_secret)] | None,
        Setting(
            "Kubernetes manifests as YAML: a text, or `{file: PATH}`.",
            example="apiVersion: v1\nkind: Namespace\nmetadata: {name: team-a}\n",
            secret=True,
        ),
    ] = None
    url: Annotated[
        Url | None,
        Setting(
            "Address of a manifest or, with `chart`, of the chart's archive. First boot fetches it.",
            example="https://mirror.example.com/metrics-server-0.8.0.yaml",
        ),
    ] = None
    sha256: Annotated[
        Sha256 | None,
        Setting(
            "Checksum of what is fetched: required with `url`; of a chart from a repository or a registry, that of its "
            "archive.",
            example="0" * 64,
        ),
    ] = None
    chart: Annotated[
        Chart | None,
        Setting("Name of a Helm chart in `repository`, or `oci://HOST/PATH`.", example="ingress-nginx"),
    ] = None
    repository: Annotated[
        Url | None,
        Setting("Repository of the chart.", example="https://kubernetes.github.io/ingress-nginx"),
    ] = None
    version: Annotated[ChartVersion | None, Setting("Version of the chart.", example="4.11.3")] = None
    namespace: Annotated[
        Namespace | None,
        Setting(
            "Namespace of the release, or of a manifest's objects without one of their own. It is created. `null`: "
            "`default`.",
            example="ingress-nginx",
        ),
    ] = None
    values: Annotated[
        dict[str, object],
        Setting("Values of the chart.", example={"controller": {"replicaCount": 2}}, secret=True),
    ] = {}
    secret_values: Annotated[
        Annotated[str, Field(min_length=1), Reference()] | None,
        Setting(
            "More values as YAML, with passwords and keys: `{file: PATH}`. They apply after `values`.",
            example="adminPassword: example\n",
            secret=True,
        ),
    ] = None
    timeout: Annotated[
        int,
        Field(ge=10, le=3600),
        Setting("How long it may take to be ready before it is tried again.", unit="seconds", example=1200),
    ] = 600
