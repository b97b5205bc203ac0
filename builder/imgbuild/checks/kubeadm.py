"""Settings of kubeadm, files of the control plane, patches: what kubeadm refuses or ignores.

Sources, Kubernetes 1.24 to 1.37: cmd/kubeadm/app/apis/kubeadm/validation/validation.go (ValidateClusterConfiguration,
ValidateEtcd, ValidateMountPath, ValidateIgnorePreflightErrors); cmd/kubeadm/app/phases/controlplane/volumes.go (what
kubeadm mounts); cmd/kubeadm/app/util/patches/patches.go (parseFilename). What the API server reads:
k8s.io/apiserver/pkg/audit/policy/reader.go (LoadPolicyFromBytes; v1 alone since 1.24), pkg/apis/audit/validation, and
pkg/apis/apiserver/validation/validation_encryption.go (ValidateEncryptionConfiguration).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import yaml

from imgbuild.checks.context import Context
from imgbuild.checks.kubernetes_fields import FieldCheck
from imgbuild.config.layers import closest
from imgbuild.diagnostics.findings import Path
from imgbuild.facts.derive import minor, since, version
from imgbuild.facts.kubeadm import COMPONENTS, FILES, TARGETS, patch_target, section
from imgbuild.facts.kubelet import PATCH
from imgbuild.facts.kubernetes_types import arguments, without_null

_KUBEADM: Path = ("kubernetes", "kubeadm")
_NODE: Path = ("kubernetes", "node_registration")
_FILES: Path = ("kubernetes", "control_plane_files")
_PATCHES: Path = ("kubernetes", "patches")
_PATH_TYPES = (
    "", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice",
)  # fmt: skip
_ALGORITHMS = ("RSA-2048", "RSA-3072", "RSA-4096", "ECDSA-P256", "ECDSA-P384")
_MOUNTED = (
    "/etc/kubernetes/pki/", "/etc/ssl/certs/", "/etc/ca-certificates/", "/etc/pki/ca-trust/", "/etc/pki/tls/certs/",
    "/usr/share/ca-certificates/", "/usr/local/share/ca-certificates/",
)  # fmt: skip
"""The folders that kubeadm mounts into the API server, where they exist."""
_NAME = re.compile(rf"({'|'.join(TARGETS)})[^.+\n]*(\+(json|merge|strategic))?\.(json|yaml)")


def check(context: Context) -> None:
    """All findings about kubeadm's settings."""
    kubernetes = context.profile.kubernetes
    given = {
        "kubeadm": kubernetes.kubeadm, "node_registration": kubernetes.node_registration,
        "control_plane_files": kubernetes.control_plane_files, "patches": kubernetes.patches,
    }  # fmt: skip
    if not kubernetes.enabled:
        for name in (name for name, value in given.items() if value):
            hint = "set kubernetes.enabled: true, or remove it"
            context.report("IB266", ("kubernetes", name), "this is not used: kubernetes.enabled is false", hint)
        return
    before = len(context.findings.items)
    _fields(context)
    if len(context.findings.items) == before:  # what follows reads the values by their types
        _etcd(context)
        for component in COMPONENTS:
            _volumes(context, component, section(context.profile, component))
            _readable(context, component, section(context.profile, component))
        _choices(context)
        _unused(context)
    _patches(context)
    for name, text in kubernetes.control_plane_files.items():
        _parsed(context, (*_FILES, name), name, text)


def _fields(context: Context) -> None:
    own = dict(context.profile.kubernetes.kubeadm)
    for key, instead in (("nodeRegistration", "kubernetes.node_registration"), ("patches", "kubernetes.patches")):
        if own.pop(key, None) is not None:
            context.report(
                "IB260", (*_KUBEADM, key), f"{key} is not a field of ClusterConfiguration", f"write {instead}",
                of_key=True,
            )  # fmt: skip
    timeouts = own.pop("timeouts", None)
    FieldCheck(context, "ClusterConfiguration", _KUBEADM).check(own)
    if isinstance(timeouts, dict):
        FieldCheck(context, "Timeouts", (*_KUBEADM, "timeouts")).check(timeouts)
    elif timeouts is not None:
        hint = "write the timeouts below it, for example discovery: 5m"
        context.report("IB261", (*_KUBEADM, "timeouts"), "timeouts must be a mapping", hint)
    FieldCheck(context, "NodeRegistrationOptions", _NODE).check(context.profile.kubernetes.node_registration)


def _refuse(context: Context, path: Path, message: str, hint: str) -> None:
    context.report("IB265", path, message, hint)


def _etcd(context: Context) -> None:
    settings, at = section(context.profile, "etcd"), (*_KUBEADM, "etcd")
    local, external = settings.get("local"), settings.get("external")
    if local and external is not None:
        _refuse(context, (*at, "local"), "kubeadm takes a local or an external etcd", "remove one of the two")
    data = (local or {}).get("dataDir")
    if data is not None:
        bad = ("/tmp/", "/run/", "/var/run/", "/dev/", "/proc/", "/sys/", "/etc/kubernetes/")  # noqa: S108
        if not re.fullmatch(r"(/[A-Za-z0-9_][A-Za-z0-9._-]*){2,}", data) or f"{data}/".startswith(bad):
            hint = "write an absolute path of two parts or more, such as /var/lib/etcd"
            _refuse(context, (*at, "local", "dataDir"), "not a folder for etcd's data, which kubeadm empties", hint)
    if external is not None:
        _external(context, external, (*at, "external"))


def _external(context: Context, external: Mapping[str, Any], at: Path) -> None:
    files = {name: external.get(name) for name in ("caFile", "certFile", "keyFile")}
    if not external.get("endpoints"):
        _refuse(context, at, "an external etcd without endpoints", "add endpoints: ['https://10.0.0.21:2379']")
    for key in ("endpoints", "httpEndpoints"):
        for index, url in enumerate(external.get(key, [])):
            parts = urlsplit(url)
            schemes = ("https",) if any(files.values()) else ("http", "https")
            if parts.scheme not in schemes or not parts.hostname or parts.path not in ("", "/"):
                hint = f"write {schemes[0]}://HOST:2379"
                _refuse(context, (*at, key, index), f"not an address of etcd ({' or '.join(schemes)})", hint)
    if bool(files["certFile"]) != bool(files["keyFile"]):
        hint = "set both, or neither"
        _refuse(context, at, "certFile and keyFile go together", hint)
    own = context.profile.kubernetes.control_plane_files
    for name, path in files.items():
        if path and not path.startswith("/"):
            _refuse(context, (*at, name), "kubeadm requires an absolute path", f"write {FILES}/NAME")
        elif path and path.startswith(f"{FILES}/") and path.removeprefix(f"{FILES}/") not in own:
            _missing(context, (*at, name), path)


def _missing(context: Context, path: Path, file: str) -> None:
    own = sorted(context.profile.kubernetes.control_plane_files)
    name = file.removeprefix(f"{FILES}/")
    context.report(
        "IB267", path, f"there is no {name} in kubernetes.control_plane_files",
        closest(name, own) or f"add kubernetes.control_plane_files: {{{name}: …}}",
    )  # fmt: skip


def _volumes(context: Context, component: str, part: Mapping[str, Any]) -> None:
    seen: set[str] = set()
    for index, volume in enumerate(part.get("extraVolumes", [])):
        at = (*_KUBEADM, component, "extraVolumes", index)
        for key in ("name", "hostPath", "mountPath"):
            value = volume.get(key)
            if not value:
                _refuse(context, at, f"a volume without {key}", f"add {key}")
            elif key != "name" and not value.startswith("/"):
                _refuse(context, (*at, key), f"{key} is not an absolute path", "write an absolute path")
        if volume.get("name") in seen or volume.get("name") == "imgbuild-files":
            _refuse(context, (*at, "name"), "duplicate name of a volume", "use another name")
        seen.add(volume.get("name", ""))
        kind = volume.get("pathType", "")
        if kind not in _PATH_TYPES:
            hint = closest(kind, _PATH_TYPES) or "write File, Directory or DirectoryOrCreate"
            _refuse(context, (*at, "pathType"), f"{kind} is not a type of path", hint)


def _readable(context: Context, component: str, part: Mapping[str, Any]) -> None:
    """A program in a container sees only what is mounted into it."""
    given = part.get("extraArgs")
    mounts = [str(volume.get("mountPath", "")) for volume in part.get("extraVolumes", [])]
    for index, (name, value) in enumerate(arguments(given)):
        if not value.startswith("/") or not re.search(r"(^|-)(file|config|path|dir|kubeconfig|key|cert)$", name):
            continue
        at = (*_KUBEADM, component, "extraArgs", index if isinstance(given, list) else name)
        own = value.removeprefix(f"{FILES}/")
        if own != value:
            if own not in context.profile.kubernetes.control_plane_files:
                _missing(context, at, value)
            elif name in _READERS:
                _accepted(context, own, _READERS[name])
            continue
        inside = any(PurePosixPath(value).is_relative_to(mount) for mount in mounts if mount.startswith("/"))
        if not inside and not value.startswith(_MOUNTED):
            context.report(
                "IB267", at, f"{name} names a file that is not mounted into the container",
                f"put it into kubernetes.control_plane_files, and write {FILES}/NAME; or mount its folder with "
                f"kubernetes.kubeadm.{component}.extraVolumes",
            )  # fmt: skip


def _choices(context: Context) -> None:
    kubernetes = context.profile.kubernetes
    algorithm = kubernetes.kubeadm.get("encryptionAlgorithm")
    if algorithm is not None and algorithm not in _ALGORITHMS:
        hint = closest(str(algorithm), _ALGORITHMS) or f"write one of {', '.join(_ALGORITHMS)}"
        _refuse(context, (*_KUBEADM, "encryptionAlgorithm"), "not an algorithm that kubeadm knows", hint)
    elif str(algorithm).startswith("ECDSA") and context.target.package_manager == "yum":
        # Its curl is built with NSS, which reads keys from files with nss-pem: RSA alone (src/prsa.c).
        context.report(
            "IB548", (*_KUBEADM, "encryptionAlgorithm"),
            "curl of CentOS 7 reads RSA keys alone: imgbuild-reset could not leave etcd with an ECDSA key",
            "write an RSA algorithm, such as RSA-2048, or remove it",
        )  # fmt: skip
    policy = kubernetes.node_registration.get("imagePullPolicy")
    if policy is not None and policy not in ("Always", "IfNotPresent", "Never"):
        _refuse(context, (*_NODE, "imagePullPolicy"), "not a policy", "write Always, IfNotPresent or Never")
    ignored = without_null(kubernetes.node_registration).get("ignorePreflightErrors", [])
    if "all" in [str(name).lower() for name in ignored]:
        context.report(
            "IB264", (*_NODE, "ignorePreflightErrors"), "all hides every problem that kubeadm finds on the node",
            "name those that you have seen, for example [Mem]",
        )  # fmt: skip


def _unused(context: Context) -> None:
    """Files that no argument names, and no other file either."""
    kubernetes = context.profile.kubernetes
    text = str(kubernetes.kubeadm) + "".join(kubernetes.control_plane_files.values())
    text += "".join(kubernetes.patches.values())
    for name in kubernetes.control_plane_files:
        if f"{FILES}/{name}" not in text:
            context.report(
                "IB266", (*_FILES, name), f"no argument names {FILES}/{name}",
                "set the argument that reads it in kubernetes.kubeadm.apiServer.extraArgs, or remove the file",
                of_key=True,
            )  # fmt: skip


def _patches(context: Context) -> None:
    release = version(minor(context.profile.kubernetes.version))
    for name, text in context.profile.kubernetes.patches.items():
        at, target = (*_PATCHES, name), patch_target(name)
        late = {"kubeletconfiguration": "kubelet_patch", "corednsdeployment": "coredns_patch"}.get(target)
        if name == PurePosixPath(PATCH).name:
            hint = f"name it {name.replace('+', '1+')}; fields of the kubelet are simpler in kubernetes.kubelet"
            context.report("IB268", at, f"{name} is the name of imgbuild's own patch", hint, of_key=True)
        elif not _NAME.fullmatch(name):
            context.report("IB268", at, f"kubeadm ignores a patch named {name}", _better(name), of_key=True)
        elif late is not None and release < since("kubernetes", late):
            context.report(
                "IB268", at, f"kubeadm {release} does not patch a {target}",
                f"remove it, or use Kubernetes {since('kubernetes', late)} or later", of_key=True,
            )  # fmt: skip
        _parsed(context, at, name, text, patch=True)


def _better(name: str) -> str:
    target, _, rest = name.partition("+")
    stem = target.partition(".")[0]
    begins = next((known for known in TARGETS if len(stem) > 3 and known.startswith(stem)), "")
    near = patch_target(name) or begins or closest(stem, TARGETS).removeprefix('did you mean "').removesuffix('"?')
    kind = next((kind for kind in ("json", "merge") if rest.startswith(kind)), "strategic")
    if near:
        return f"write {near}+{kind}.yaml"
    return f"begin with {', '.join(TARGETS)}; then +strategic, +merge or +json; then .yaml or .json"


def _accepted(context: Context, name: str, read: Callable[[Mapping[str, Any]], Iterator[tuple[str, str]]]) -> None:
    """A file that the API server reads when it starts: it ends if it refuses the content, which is never shown."""
    try:
        first = next(iter(_documents(context.profile.kubernetes.control_plane_files[name])), None)
    except (yaml.YAMLError, ValueError):
        first = {}
    for what, hint in read(first if isinstance(first, dict) else {}):
        context.report("IB269", (*_FILES, name), f"the API server does not start with {name}: {what}", hint)


def _policy(policy: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if (policy.get("apiVersion"), policy.get("kind")) != ("audit.k8s.io/v1", "Policy"):
        yield "it is not a Policy of audit.k8s.io/v1", "write apiVersion: audit.k8s.io/v1 and kind: Policy"
    rules = policy.get("rules")
    if not rules or not isinstance(rules, list):
        yield "it has no rules", "add one: rules: [{level: Metadata}]"
        return
    levels = ("None", "Metadata", "Request", "RequestResponse")
    for index, rule in enumerate(rules):
        level = rule.get("level") if isinstance(rule, dict) else None
        if level not in levels:
            hint = closest(str(level), levels) or f"write one of {', '.join(levels)}"
            yield f"rules[{index}] has no valid level", hint


def _encryption(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    wanted = ("apiserver.config.k8s.io/v1", "EncryptionConfiguration")
    if (config.get("apiVersion"), config.get("kind")) != wanted:
        yield f"it is not an {wanted[1]} of {wanted[0]}", f"write apiVersion: {wanted[0]} and kind: {wanted[1]}"
    for index, row in enumerate(_listed(config, "resources") or [{}]):
        for key, example in (("resources", "[secrets]"), ("providers", "[{identity: {}}]")):
            if not _listed(row, key):
                yield f"resources[{index}] has no {key}", f"add {key}: {example}"
        for number, provider in enumerate(_listed(row, "providers")):
            at = f"resources[{index}].providers[{number}]"
            given = [key for key, value in provider.items() if value is not None] if isinstance(provider, dict) else []
            if len(given) != 1 or given[0] not in (*_KEY_SIZES, "kms", "identity"):
                yield (
                    f"{at} is not one provider",
                    "write one of aescbc, aesgcm, secretbox, kms and identity in each item",
                )
            elif given[0] in _KEY_SIZES:
                yield from _keys(f"{at}.{given[0]}", provider[given[0]], _KEY_SIZES[given[0]])


def _keys(at: str, provider: object, sizes: Sequence[int]) -> Iterator[tuple[str, str]]:
    new = "`head -c 32 /dev/urandom | base64` makes one"
    if not _listed(provider, "keys"):
        yield f"{at} has no keys", f"add keys: [{{name: key1, secret: …}}]; {new}"
    for index, key in enumerate(_listed(provider, "keys")):
        name, secret = (key.get("name"), key.get("secret")) if isinstance(key, dict) else (None, None)
        if not name or not isinstance(name, str):
            yield f"{at}.keys[{index}] has no name", "add name: key1"
        try:
            size = len(base64.b64decode(re.sub(r"[\r\n]", "", str(secret or "")), validate=True))
        except binascii.Error:
            size = 0
        if size not in sizes:
            long = " or ".join(map(str, sizes))
            yield f"{at}.keys[{index}].secret is not a key of {long} bytes in base64", f"give another key: {new}"


def _listed(value: object, key: str) -> list[Any]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


_KEY_SIZES: Mapping[str, Sequence[int]] = {"aescbc": (16, 24, 32), "aesgcm": (16, 24, 32), "secretbox": (32,)}
"""The providers that have keys, and how long such a key is (bytes)."""
_READERS = {"audit-policy-file": _policy, "encryption-provider-config": _encryption}


def _documents(text: str) -> Sequence[Any]:
    return [part for part in yaml.load_all(text, yaml.CSafeLoader) if part is not None]


def _parsed(context: Context, at: Path, name: str, text: str, *, patch: bool = False) -> None:
    """The text of a YAML or JSON file, which its reader must be able to read."""
    if not name.endswith((".yaml", ".yml", ".json")):
        return
    try:
        documents = _documents(text)
    except (yaml.YAMLError, ValueError):
        context.report("IB269", at, f"{name} is not YAML", "check its indentation and quotes: the text begins after |")
        return
    wanted = list if "+json." in name else dict
    if patch and (not documents or not all(isinstance(part, wanted) for part in documents)):
        what = "a list of operations" if wanted is list else "a mapping"
        hint = "write [{op: add, path: /spec/…, value: …}]" if wanted is list else "write the fields to change: spec: …"
        context.report("IB269", at, f"{name} must be {what}", hint)
