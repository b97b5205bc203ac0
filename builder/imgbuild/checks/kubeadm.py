"""Settings of kubeadm, files of the control plane, patches: what kubeadm refuses or ignores.

Sources, Kubernetes 1.24 to 1.37: cmd/kubeadm/app/apis/kubeadm/validation/validation.go (ValidateClusterConfiguration,
ValidateEtcd, ValidateMountPath, ValidateIgnorePreflightErrors); cmd/kubeadm/app/phases/controlplane/volumes.go (what
kubeadm mounts); cmd/kubeadm/app/util/patches/patches.go (parseFilename).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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


def _parsed(context: Context, at: Path, name: str, text: str, *, patch: bool = False) -> None:
    """The text of a YAML or JSON file, which its reader must be able to read."""
    if not name.endswith((".yaml", ".yml", ".json")):
        return
    try:
        documents: Sequence[Any] = [part for part in yaml.load_all(text, yaml.CSafeLoader) if part is not None]
    except (yaml.YAMLError, ValueError):
        context.report("IB269", at, f"{name} is not YAML", "check its indentation and quotes: the text begins after |")
        return
    wanted = list if "+json." in name else dict
    if patch and (not documents or not all(isinstance(part, wanted) for part in documents)):
        what = "a list of operations" if wanted is list else "a mapping"
        hint = "write [{op: add, path: /spec/…, value: …}]" if wanted is list else "write the fields to change: spec: …"
        context.report("IB269", at, f"{name} must be {what}", hint)
