"""Names of nodes: what Kubernetes, Linux and the kubelet's label take together."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from imgbuild.config.fields import HostName

NAME: TypeAdapter[str] = TypeAdapter(HostName)
LONG = "n." + "a" * 61


@pytest.mark.parametrize("name", ["n1", "n1.corp.example", "1.rack", "0a", "a-b.c-d", LONG, "localhosts.example"])
def test_a_name(name: str) -> None:
    assert NAME.validate_python(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "N1", "n_1", "n1.", ".n1", "n1..corp", "n1-.corp", "n1.-corp", "localhost", "localhost.localdomain",
     "10.0.0.1", "7", f"{LONG}a", "a" * 64, "n1/corp", "n1 corp"],
)  # fmt: skip
def test_no_name(name: str) -> None:
    with pytest.raises(ValidationError, match="a host name has lower-case letters"):
        NAME.validate_python(name)
