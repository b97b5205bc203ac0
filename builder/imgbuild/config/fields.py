"""The types of values in profiles and cluster files: each validates its text and names the fix.

Sources: RFC 1123 (host names), bootparam(7), sysctl.d(5), crypt(5), sshd(8) AUTHORIZED_KEYS, the distribution spec of
image references.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_after_validator_function

from imgbuild.config.openpgp import public_key
from imgbuild.config.setting import Setting, Words
from imgbuild.diagnostics.mask import NOT_SHOWN

Firmware = Literal["bios", "efi"]
"""How a machine starts."""
Hierarchy = Literal["v1", "v2"]
"""cgroup hierarchies."""


# Modules of models have no `from __future__ import annotations`: pydantic would have to compile each annotation from
# its text, which takes a twentieth of `imgbuild check`.
class Model(BaseModel):
    """Frozen, no unknown keys, no silent conversion ("1" is not 1), and nothing private in its repr."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_by_name=True, defer_build=True)
    plain: ClassVar[str] = ""
    """The key that a text in place of the mapping is the value of, if it may be a text."""

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Like pydantic's, without what cached properties of the original have kept: other values give others."""
        copied = super().model_copy(update=update, deep=deep)
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        """Like pydantic's, without private values."""
        for name, value in super().__repr_args__():
            field = type(self).model_fields.get(name or "")
            said = field.metadata if field is not None else ()
            secret = any(isinstance(word, Setting) and word.secret for word in said)
            yield name, NOT_SHOWN if secret else value


class SecretModel(Model):
    """A file of secrets. An unknown key is not even named: in a damaged file it may be part of a value."""


def _matcher(regex: str, what: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not re.fullmatch(regex, value):  # compiled when it is needed: most keys are not set
            raise ValueError(what)
        return value

    return check


@dataclass(frozen=True)
class Matches:
    """In a type's Annotated: the whole value must match a regular expression; ``what`` is the fix."""

    regex: str
    what: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The check, after the type's own."""
        return no_info_after_validator_function(_matcher(self.regex, self.what), handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The expression, which editors check too: it has nothing that ECMAScript reads differently."""
        return {**handler(core), "pattern": f"^(?:{self.regex})$", "patternErrorMessage": self.what}


def pattern(regex: str, what: str) -> Matches:
    """A validator that requires the whole value to match ``regex``; ``what`` is the fix."""
    return Matches(regex, what)


_dns_name = _matcher(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*",
    "a DNS name has lower-case letters, digits, dashes and dots",
)


def dns_name(value: str) -> str:
    """A DNS name.

    Raises:
        ValueError: it is not one; the message is the fix.
    """
    if re.fullmatch(r"[0-9]+(\.[0-9]+)+", value):  # no top-level domain is a number (RFC 3696)
        raise ValueError("write an IP address of four numbers from 0 to 255, or a name")
    return _dns_name(value)


def _cidr(value: str) -> str:
    if "/" not in value:
        raise ValueError("write a network in CIDR form, with its prefix length: 10.244.0.0/16")
    try:
        if "%" in value:
            raise ValueError(value)
        network = ipaddress.ip_network(value, strict=False)
    except ValueError as error:
        raise ValueError("write a network in CIDR form, such as 10.244.0.0/16") from error
    if str(network) != value:
        raise ValueError(f"write the network address: {network}")
    return value


def _no_list(value: object) -> object:
    if isinstance(value, list):
        raise ValueError(f"write one text, with a comma between the two: {','.join(map(str, value))}")
    return value


def _cluster_cidr(value: str) -> str:
    parts = value.split(",")
    if any(part != part.strip() for part in parts) and all(part.strip() for part in parts):
        raise ValueError(f"write it without blanks: {','.join(part.strip() for part in parts)}")
    families = [ipaddress.ip_network(_cidr(part)).version for part in parts]
    if len(set(families)) != len(families):
        raise ValueError("write one network, or one of each family for dual stack: 10.244.0.0/16,fd00:10:244::/48")
    return value


def _address(value: str) -> str:
    try:
        if "%" in value:  # a zone: Python accepts any text there
            raise ValueError(value)
        return str(ipaddress.ip_address(value))
    except ValueError as error:
        raise ValueError("write an IP address, such as 192.168.1.10") from error


def _clients(value: str) -> str:
    return _cidr(value) if "/" in value else _address(value)


def _url(value: str) -> str:
    # RFC 3986, but for $ and the quotes, which have a meaning in shell, iPXE and GRUB, and # (apt: a comment).
    if not re.fullmatch(r"(https?|file)://([A-Za-z0-9._~:/?\[\]@!&()*+,;=-]|%[0-9A-Fa-f]{2})+", value):
        raise ValueError(
            "write a URL: http://, https:// or file://, in ASCII, without spaces, quotes, $ and #; encode others as %20"
        )
    try:
        parts = urlsplit(value)
        if parts.port == 0 or (parts.scheme != "file" and not parts.hostname):
            raise ValueError(value)
    except ValueError as error:
        raise ValueError("write a URL with a host, such as https://example.org/path") from error
    if "@" in parts.netloc:
        raise ValueError(
            "remove user and password, which would be readable in the image and on every node: write them in "
            "repositories.logins, by host (those of a registry: as auth beside its url)"
        )
    return value


_UNITS = {"h": 3600, "d": 86400}


def duration_seconds(value: str) -> int:
    """A duration as it is written, in seconds: 14d, 48h.

    Raises:
        ValueError: it is not one.
    """
    found = re.fullmatch(r"([1-9][0-9]{0,4})([hd])", value)
    if found is None:
        raise ValueError("write a number of days or hours: 14d, 48h")
    return int(found[1]) * _UNITS[found[2]]


def duration(least: str, most: str) -> AfterValidator:
    """A validator for a duration between two bounds, both included."""

    def check(value: str) -> str:
        if not duration_seconds(least) <= duration_seconds(value) <= duration_seconds(most):
            raise ValueError(f"write at least {least} and at most {most}")
        return value

    return AfterValidator(check)


def no_boolean(value: object) -> object:
    """``value``, unless it is true or false: pydantic reads true as 1 in a Literal, also in strict mode."""
    if isinstance(value, bool):
        raise ValueError("write a number, not true or false")
    return value


def _one_line(value: str) -> str:
    if any(ord(c) < 32 or ord(c) == 127 for c in value):
        raise ValueError("write one line without control characters")
    return value


def _plain_number(value: str) -> str:
    found = re.fullmatch(r"([0-9]{1,9}) ?([kmgt])i?b?", value.lower())
    if found:  # the kernel's parser stops at the letter, and the write fails (proc_get_long in kernel/sysctl.c)
        number = int(found[1]) << 10 * (" kmgt".index(found[2]))
        raise ValueError(f"write {number}: the kernel takes plain numbers")
    return _one_line(value)


def host(value: str) -> str:
    """A DNS name or an IP address.

    Raises:
        ValueError: it is not one; the message is the fix.
    """
    try:
        return _address(value)
    except ValueError:
        return dns_name(value)


def _plain_url(value: str) -> str:
    if "@" in value.partition("://")[2].partition("/")[0]:
        raise ValueError("remove user and password, which would be readable on every node: no login is used there")
    return _url(value)


def _mirror(value: str) -> str:
    if value.startswith("file:"):
        raise ValueError("write http:// or https://: a file of this machine needs no mirror")
    return _url(value.replace("{version}", "1.2.3")) and value


def _minor_url(value: str) -> str:
    _url(value.replace("{minor}", "1.34"))
    return value


Cidr = Annotated[str, AfterValidator(_cidr), Words("network (CIDR)")]
ClusterCidr = Annotated[
    str, BeforeValidator(_no_list), AfterValidator(_cluster_cidr), Words("network (CIDR), or two with a comma")
]
"""The network of pods or Services, or one of each family for dual stack, in the form of kubeadm's own fields."""
Address = Annotated[str, AfterValidator(_address), Words("IP address")]
Clients = Annotated[str, AfterValidator(_clients), Words("network (CIDR) or IP address")]
Url = Annotated[str, AfterValidator(_url), Words("URL")]
PlainUrl = Annotated[str, AfterValidator(_plain_url), Words("URL")]
"""A URL that no login of repositories.logins is used for."""
MinorUrl = Annotated[str, AfterValidator(_minor_url), Words("URL")]
"""A URL in which {minor} is replaced by Kubernetes' minor, such as 1.34."""
Origin = Annotated[
    str,
    AfterValidator(_url),
    pattern(r"https?://[^?{}]+", "write the start of an address: https://get.helm.sh/"),
    Words("URL"),
]
"""The start of the addresses of an origin."""
MirrorPrefix = Annotated[str, AfterValidator(_mirror), Words("URL")]
"""The start of the addresses of a mirror, in which {version} is replaced."""
Line = Annotated[str, AfterValidator(_one_line), Words("one line of text")]
Sha256 = Annotated[str, pattern(r"[0-9a-f]{64}", "a sha256 is 64 lower-case hexadecimal digits"), Words("sha256")]
Version = Annotated[
    str, pattern(r"[0-9]+\.[0-9]+\.[0-9]+([-+~][0-9A-Za-z.~+-]+)?", "a version looks like 1.34.11"), Words("version")
]
KubernetesVersion = Annotated[
    str,
    pattern(
        r"[0-9]+\.[0-9]+\.[0-9]+(-(alpha|beta|rc)\.[0-9]+)?",
        "a version looks like 1.34.11, or 1.36.0-rc.0, without the release of a package",
    ),
    Words("version"),
]
HostName = Annotated[
    str,
    pattern(
        r"(?=.{1,63}$)(?!localhost(\.|$))(?![0-9.]+$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*",
        "a host name has lower-case letters, digits, dashes and dots (RFC 1123), at most 63 characters, because the "
        "kubelet makes a label of it; localhost and digits alone mean other addresses",
    ),
    Words("host name"),
]
"""A node's name: short or fully qualified. Kubernetes takes a DNS subdomain (253 characters), but the kubelet sets it
as the label kubernetes.io/hostname (pkg/kubelet/kubelet_node_status.go, initialNode), whose value has at most 63."""
DnsName = Annotated[str, AfterValidator(dns_name), Words("DNS name")]
Host = Annotated[str, AfterValidator(host), Words("DNS name or IP address")]
"""A DNS name or an IP address."""
CertificateName = Annotated[
    str,
    AfterValidator(lambda value: value[:2] + dns_name(value[2:]) if value.startswith("*.") else host(value)),
    Words("DNS name or IP address"),
]
"""What a certificate can be for: a DNS name, which may begin with ``*.``, or an IP address."""
RegistryHost = Annotated[
    str,
    pattern(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?|_default", "a registry is a host, or host:port"),
    Words("registry host"),
]
Image = Annotated[
    str,
    pattern(
        r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*",
        "an image repository is host/path, without https:// before it, a slash or a tag at its end",
    ),
    Words("image name without tag"),
]
AbsolutePath = Annotated[
    str,
    pattern(r"(?=.{2,1024}$)(/[A-Za-z0-9_@%+=:,-][A-Za-z0-9._@%+=:,-]{0,254}|/\.[A-Za-z0-9_-][A-Za-z0-9._-]{0,253})+",
             "write an absolute path, without spaces, .., a slash at the end and names of over 255 letters"),
    Words("absolute path"),
]  # fmt: skip
PlainFileName = Annotated[
    str,
    pattern(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}", "write a file's name, without a folder: letters, digits and . _ + -"),
    Words("file name"),
]
FileMode = Annotated[
    str, pattern(r"0?[0-7]{3,4}", 'a mode is three or four octal digits in quotes: "0644"'), Words("mode in quotes")
]
ModuleName = Annotated[
    str, pattern(r"[A-Za-z0-9_-]+", "a kernel module has letters, digits, _ and -"), Words("module name")
]
PackageName = Annotated[
    str,
    pattern(r"[A-Za-z0-9][A-Za-z0-9.+_:~=*-]*", "a package name has letters, digits and . + _ : ~ = * -"),
    Words("package name"),
]
SysctlText = Annotated[str, AfterValidator(_plain_number), Words("one line of text")]
SysctlKey = Annotated[
    str,
    pattern(
        r"[A-Za-z0-9_-]+([./][A-Za-z0-9_-]+)+",
        "a sysctl is a name such as vm.swappiness; no glob: systemd 219 and 239 ignore net.ipv4.conf.*.x, and "
        "sysctl -p fails on it; network.rp_filter covers every interface",
    ),
    Words("sysctl"),
]
UserName = Annotated[
    str, pattern(r"[a-z_][a-z0-9_-]{0,31}", "a user name has lower-case letters, digits, _ and -"), Words("user name")
]
KernelArg = Annotated[
    str,
    pattern(r"[A-Za-z0-9_.,:=/@%+-]+", "a kernel argument has no spaces, quotes or shell characters"),
    Words("kernel argument"),
]
ZoneName = Annotated[
    str,
    pattern(
        r"(?=.{1,64}$)(?![-+0-9]+$)[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*",
        "a time zone is a name such as Asia/Shanghai or UTC",
    ),
    Words("time zone"),
]
SshKey = Annotated[
    str,
    pattern(
        r"(ssh-(ed25519|rsa)|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)"
        r" [A-Za-z0-9+/]{40,}={0,3}( [^\x00-\x1f\x7f]*)?",
        "write a public key line, as in ~/.ssh/id_ed25519.pub",
    ),
    Words("public SSH key"),
]
PublicKey = Annotated[str, AfterValidator(public_key), Words("OpenPGP public key")]
"""An OpenPGP public key, ASCII-armoured."""
PasswordHash = Annotated[
    str,
    pattern(
        r"\$(5|6|y|2[aby])\$[./A-Za-z0-9$=,]{20,}",
        "write a hash, never the password: `openssl passwd -6` makes one",
    ),
    Words("password hash"),
]
