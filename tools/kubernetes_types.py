"""Write profiles/versions/kubelet-types.yaml and kubeadm-types.yaml: the fields of Kubernetes' configuration files.

    python -m tools.kubernetes_types FOLDER

FOLDER has a folder for each minor (1.24, 1.25, …) with Kubernetes' sources of that minor, each under a name of ours:

    kubelet.go   staging/src/k8s.io/kubelet/config/v1beta1/types.go
    logs.go      staging/src/k8s.io/component-base/logs/api/v1/types.go (1.24: config/v1alpha1/types.go)
    tracing.go   staging/src/k8s.io/component-base/tracing/api/v1/types.go (from 1.25 on)
    kubeadm.go   cmd/kubeadm/app/apis/kubeadm/v1beta3/types.go, from 1.31 on v1beta4

In a clone of kubernetes/kubernetes, `git show release-1.35:PATH` prints each.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

VERSIONS = Path(__file__).resolve().parents[1] / "profiles/versions"
_STRUCT = re.compile(r"(?ms)^type (\w+) struct \{\n(.*?)^\}")
_ALIAS = re.compile(r"(?m)^type (\w+) (\[\]\w+|\w+)$")
_FIELD = re.compile(r'^\t(?:(\w+) +)?(\S+) +`json:"([^",]*)')
_SIMPLE = {
    "string": "string",
    "bool": "bool",
    "float64": "number",
    "metav1.Duration": "duration",
    **dict.fromkeys(("int32", "int64", "uint32"), "int"),
    # LoggingConfiguration: a number of nanoseconds, from 1.25 on also a duration; a size in bytes or with a unit.
    **dict.fromkeys(("time.Duration", "TimeOrMetaDuration", "resource.QuantityValue"), "any"),
    "v1.ResourceList": "map of quantity",
    "corev1.HostPathType": "string",
    "corev1.PullPolicy": "string",
    "EncryptionAlgorithmType": "string",
}
# k8s.io/api/core/v1, the fields alone. A Taint's timeAdded is never accepted.
_CORE = {
    "Taint": {"key": "string", "value": "string", "effect": "string"},
    "EnvVar": {"name": "string", "value": "string", "valueFrom": "any"},
}
_KINDS = {
    "kubelet-types": {"KubeletConfiguration": "KubeletConfiguration"},
    "kubeadm-types": {
        "ClusterConfiguration": "ClusterConfiguration",
        "NodeRegistrationOptions": "NodeRegistrationOptions",
        "Timeouts": "Timeouts",
    },
}
_HEADS = {
    "kubelet-types": """\
# Every field of KubeletConfiguration (kubelet.config.k8s.io/v1beta1), by the first and the last minor that has it and
# by its type. Written by tools/kubernetes_types.py from Kubernetes' release branches 1.24 to 1.36, and for 1.37 from
# its main branch of 2026-07-23. "[]" means each item of a list.
""",
    "kubeadm-types": """\
# Every field of kubeadm's ClusterConfiguration, NodeRegistrationOptions and Timeouts, by the first and the last minor
# that has it and by its type: those of v1beta3 up to 1.30, those of v1beta4 from 1.31 on, as imgbuild writes them.
# Written by tools/kubernetes_types.py; etcd.external.httpEndpoints is of 1.35 (kubernetes/kubernetes#134890).
""",
}


class Sources:
    """The Go types of one minor."""

    def __init__(self, folder: Path) -> None:
        text = "".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.go")))
        self.structs = dict(_STRUCT.findall(text))
        self.aliases = dict(_ALIAS.findall(text))

    def fields(self, struct: str, above: str = "") -> Iterator[tuple[str, str]]:
        """Every field below a struct that has a value of its own: its path and its type."""
        for line in self.structs[struct].split("\n"):
            found = _FIELD.match(line)
            if found is None:
                continue
            name, kind, json = found.groups()
            if json == "-" or kind.endswith("TypeMeta"):
                continue
            if name is None or not json:  # embedded
                yield from self._of(kind, above.removesuffix("."))
            else:
                yield from self._of(kind, f"{above}{json}")

    def _of(self, kind: str, path: str) -> Iterator[tuple[str, str]]:
        kind = kind.lstrip("*")
        short = kind.rpartition(".")[2]
        if kind in _SIMPLE:
            yield path, _SIMPLE[kind]
        elif kind.startswith("[]"):
            below = list(self._of(kind[2:], f"{path}[]"))
            scalar = [found for at, found in below if at == f"{path}[]"]
            yield from [(path, f"list of {scalar[0]}")] if scalar else below
        elif kind.startswith("map[string]"):
            ((_, value),) = self._of(kind[len("map[string]") :], path)
            yield path, f"map of {value}"
        elif short in _CORE:
            yield from ((f"{path}.{name}", value) for name, value in _CORE[short].items())
        elif short in self.aliases:
            yield from self._of(self.aliases[short], path)
        else:
            yield from self.fields(short, f"{path}." if path else "")


def spans(minors: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, list[str]]]:
    """Fields by span ("1.24 1.37") and type. ``minors`` has the fields of each minor, in order."""
    seen: dict[tuple[str, str], list[str]] = defaultdict(list)
    for minor, fields in minors.items():
        for field in fields.items():
            seen[field].append(minor)
    out: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for (path, kind), found in seen.items():
        out[f"{found[0]} {found[-1]}"][kind].append(path)
    return out


def _table(name: str, sources: Mapping[str, Sources]) -> str:
    lines = [_HEADS[name].rstrip("\n")]
    for title, struct in _KINDS[name].items():
        minors = {
            minor: dict(source.fields(struct)) if struct in source.structs else {} for minor, source in sources.items()
        }
        lines.append(f"{title}:")
        for span, types in sorted(spans(minors).items()):
            lines.append(f'  "{span}":')
            for kind, paths in sorted(types.items()):
                lines += _wrapped(kind, sorted(paths))
    return "\n".join(lines) + "\n"


def _wrapped(kind: str, paths: list[str]) -> list[str]:
    lines, line = [f"    {kind}: >-"], "     "
    for path in paths:
        if len(line) + len(path) + 1 > 120:
            lines.append(line)
            line = "     "
        line += f" {path}"
    return [*lines, line]


def main(folder: Path) -> None:
    """Write both tables."""
    minors = sorted((path.name for path in folder.iterdir()), key=lambda name: int(name.partition(".")[2]))
    sources = {minor: Sources(folder / minor) for minor in minors}
    for name in _KINDS:
        (VERSIONS / f"{name}.yaml").write_text(_table(name, sources), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
