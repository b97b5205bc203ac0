"""A login in a name, and a private key in the wrong place: neither is shown, whatever else is wrong there."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from imgbuild.cli.main import main
from imgbuild.diagnostics.mask import NOT_SHOWN, has_key, mask

C = "canary"
LINES = ("-----BEGIN EC PRIVATE KEY-----", f"MHcCAQEEI{C}", "-----END EC PRIVATE KEY-----")
ESCAPED = "\\n".join(LINES)
BASE64 = f"LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFWS0tLS0t{C}"


def said(*arguments: str) -> str:
    done = CliRunner().invoke(main, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.output


NAMES = (f"https://bob:{C}@get.example/", f"https://get.example/?token={C}", f"get.example/a?token={C}")
PLACES = ("mirrors", "containerd.registries", "repositories.logins", "hosts", "kernel.sysctl", "cilium.values",
          "kubernetes.kubelet", "nobody")  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", PLACES)
def test_a_login_in_a_name_is_not_shown(place: str, name: str, tmp_path: Path) -> None:
    layer = tmp_path / "layer.yaml"
    layer.write_text(
        "\n".join(f"{'  ' * n}{part}:" for n, part in enumerate(place.split("."))) + f' {{"{name}": [x]}}\n'
    )
    value = f'{place}={{"{name}": [x]}}'
    for options in (["--set", value], ["--layer", str(layer)], ["--set", f'{place}."{name}"=: :']):
        for form in ("text", "json"):
            text = said("check", "--profile", "centos8-efi", *options, "--format", form)
            assert C not in text and "IB" in text
    assert C not in said("explain", place, "--profile", "centos8-efi", "--set", value)


DOCUMENTS = {
    "a list in brackets": f'trust: {{certificates: ["{ESCAPED}"]}}\n',
    "a quoted item": f'trust:\n  certificates:\n    - "{ESCAPED}"\n',
    "a block": "trust:\n  certificates:\n    - |\n" + "".join(f"      {line}\n" for line in LINES),
    "an item for each line": "trust:\n  certificates:\n" + "".join(f"    - '{line}'\n" for line in LINES),
    "plain text": "trust:\n  certificates:\n    - " + "\n      ".join(LINES) + "\n",
    "a registry's authority": f'containerd: {{registries: {{r: {{server: {{url: "https://r", ca: "{ESCAPED}"}}}}}}}}\n',
    "a repository's key": f'repositories:\n  keys:\n    epel: ["{ESCAPED}"]\n',
    "a user's key": f'users: [{{name: a, ssh_keys: ["{ESCAPED}"]}}]\n',
    "beside another error": f'kernel: {{flavour: bad, cgroup: "{ESCAPED}", nobody: x}}\n',
    "a name": f'hosts: {{"{ESCAPED}": x}}\nmirrors: {{"{ESCAPED}": [x]}}\n',
    "Base64": f"trust: {{certificates: [{BASE64}]}}\n",
}  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_private_key_in_the_wrong_place_is_not_shown(name: str, tmp_path: Path) -> None:
    layer = tmp_path / "layer.yaml"
    layer.write_text(DOCUMENTS[name])
    for form in ("text", "json"):
        text = said("check", "--profile", "centos8-efi", "--layer", str(layer), "--format", form)
        assert C not in text and "IB11" in text


@pytest.mark.parametrize("key", ["trust.certificates[0]", "trust.certificates", "time.zone", "kernel.cgroup"])
@pytest.mark.parametrize("value", [f'"{ESCAPED}"', "|\n" + "\n".join(LINES), f'["{ESCAPED}"]', BASE64])
def test_a_private_key_in_an_option_is_not_shown(key: str, value: str) -> None:
    assert C not in said("check", "--profile", "centos8-efi", "--set", f"{key}={value}")


def test_a_private_key_is_known_by_its_form() -> None:
    key = "\n".join(LINES)
    assert mask(f"a {key} b") == f"a {NOT_SHOWN} b"
    assert mask(key.replace("EC ", "OPENSSH ")) == mask(key[:-30]) == mask(ESCAPED) == NOT_SHOWN
    assert mask(f"key: {BASE64}, x") == f"key: {NOT_SHOWN}, x"
    public = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
    for text in ("LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t", "which starts with -----BEGIN PRIVATE KEY-----", public):
        assert not has_key(text) and mask(text) == text
    assert mask("did you mean mode? x=y") == "did you mean mode? x=y"
