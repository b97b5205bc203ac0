"""The words for types and defaults that the reference and `imgbuild explain` have, against what a reader expects."""

from __future__ import annotations

from typing import Any

import pytest

from imgbuild.config.declared import documents, place
from imgbuild.config.flow import flow
from imgbuild.config.setting_words import default_words, example_words, type_words, without_links
from imgbuild.config.source import parse
from imgbuild.diagnostics.findings import Findings

PROFILE: dict[str, tuple[str, str, str]] = {
    "target": ("text", "required", "debian12"),
    "mode": ("`baked`, `stock`", "`baked`", ""),
    "time.zone": ("time zone", "`UTC`", "Asia/Tokyo"),
    "repositories.distribution": ("list: URL or `null`", "`null`", "[https://mirror.example.com/debian]"),
    "kernel.flavour": ("text", "`kernel-ml`; debian12: `newest`", "distribution"),
    "kernel.sysctl": ("mapping", "see base.yaml", "{vm.swappiness: 10}"),
    "selinux.mode": (
        "`permissive`, `enforcing`, `disabled` or `null`", "`permissive`; debian12: `null`", "",
    ),
    "kubernetes.cgroup_v1": ("`refuse`, `accept`", "`refuse`; centos7: `accept`", ""),
    "kubernetes.certificate_validity": ("whole number 1 to 3650 or `null` (days)", "`null`", "730"),
    "cilium.chart": ("mapping or `null`", "`null`", ""),
    "users.0.shell": ("absolute path", "`/bin/bash`", "/bin/sh"),
    "files.0.mode": ("mode in quotes", '`"0644"`', '"0600"'),
    "run": ("list: text, not empty", "`[]`", "[mkdir -p /srv/scratch]"),
    "image.size_mib": ("whole number 1024 to 1048576 (MiB)", "`4096`", "8192"),
    "network.rp_filter": ("`0`, `1`, `2`", "`0`", ""),
}  # fmt: skip


@pytest.mark.parametrize("key", PROFILE)
def test_a_setting_in_words(key: str) -> None:
    found = place(documents()["profile"], [int(part) if part.isdigit() else part for part in key.split(".")])
    assert found is not None
    assert (type_words(found), default_words(found), example_words(found)) == PROFILE[key]


@pytest.mark.parametrize("value", ["UTC", "0644", "yes", "null", "a: b", "1.30", 1, None, True, ["a", {"b.c": "d, e"}]])
def test_a_value_on_one_line_is_read_back_as_it_was(value: Any) -> None:
    document = parse(f"value: {flow(value)}\n", "", Findings())
    assert document is not None and document.data == {"value": value}


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("They are [renewed](../how-to/a.md) in time: a[0].", "They are renewed (docs/how-to/a.md) in time: a[0]."),
        (
            "[Which](cluster.md#own) and [51](../recipe.md)",
            "Which (docs/reference/cluster.md#own) and 51 (docs/recipe.md)",
        ),
    ],
)
def test_links_are_written_out(text: str, plain: str) -> None:
    assert without_links(text) == plain
