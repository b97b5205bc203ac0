"""Fields of Kubernetes' own configuration files, below a key of the profile: unknown, of a wrong type, or imgbuild's.

kubeadm and the kubelet read them strictly: a field that they do not know, or a number where a text is declared, ends
kubeadm with an error, on the node.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from imgbuild.checks.context import Context
from imgbuild.config.data import versions
from imgbuild.config.declared import ITEM
from imgbuild.config.layers import closest
from imgbuild.diagnostics.findings import Path, few
from imgbuild.facts.derive import minor, version
from imgbuild.facts.kubernetes_types import (
    ARGUMENTS,
    PROGRAMS,
    Field,
    Kind,
    fields,
    owned,
    pattern,
    sections,
    span,
)

# time.ParseDuration; k8s.io/apimachinery/pkg/api/resource, ParseQuantity.
DURATION = re.compile(r"[-+]?(0|([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))+")
QUANTITY = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]+)?")
_MOST = 20
"""Unknown fields that get a finding of their own."""


@dataclass
class FieldCheck:
    """The fields of one kind below ``above``."""

    context: Context
    kind: Kind
    above: Path
    names: Mapping[str, tuple[Sequence[str], str, str]] = field(default_factory=dict)
    """The names that a mapping can have, by its field; what is wrong with another one, and its code."""

    @cached_property
    def release(self) -> str:
        """The version of Kubernetes."""
        return self.context.profile.kubernetes.version

    def check(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """All findings about fields and their types. Returns the fields at the top that have none."""
        self.unknown: list[Path] = []
        self._wrong_fields: set[str | int] = set()
        for key, value in values.items():
            self._visit((key,), value)
        for path in self.unknown[:_MOST]:
            self._unknown(path)
        rest = self.unknown[_MOST:]
        if rest:
            names = few([".".join(map(str, path)) for path in rest], 3)
            self._report(
                "IB260", rest[0], f"{len(rest)} more that are not fields of {self.kind}: {names}",
                f"look them up in the reference of {self.kind}", of_key=True,
            )  # fmt: skip
        return {key: value for key, value in values.items() if key not in self._wrong_fields}

    def _visit(self, path: Path, value: Any) -> None:
        if value is None:
            return  # it removes the field
        field = pattern(path)
        known, groups = fields(self.kind, self.release), sections(self.kind, self.release)
        if field in owned(self.kind):
            self._owned(path, owned(self.kind)[field])
        elif field in known:
            self._type(path, value, known[field])
        elif (*field, ITEM) in groups:
            if isinstance(value, list):
                for index, item in enumerate(value):
                    self._visit((*path, index), item)
            else:
                self._wrong(path, "a list of mappings", "write its items with - in front")
        elif field in groups:
            if isinstance(value, dict):
                for key, child in value.items():
                    self._visit((*path, key), child)
            else:
                below = sorted({name[len(field)] for name in known if name[: len(field)] == field})
                self._wrong(path, "a mapping", f"write the fields below it: {few(below, 4)}")
        else:
            self.unknown.append(path)

    def _type(self, path: Path, value: Any, of: str) -> None:
        if of == ARGUMENTS:
            self._arguments(path, value)
        elif of.startswith("list of "):
            if isinstance(value, list):
                for index, item in enumerate(value):
                    self._type((*path, index), item, of.removeprefix("list of "))
            else:
                self._wrong(path, "a list", "write its items with - in front, or in [ ]")
        elif of.startswith("map of "):
            if isinstance(value, dict):
                known, wrong, code = self.names.get(str(path[-1]), ((), "", ""))
                for key, child in value.items():
                    if known and key not in known:
                        hint = closest(key, known) or f"write one of {few(known, 4)}"
                        self._report(code, (*path, key), f"{key} {wrong}", hint, of_key=True)
                    elif child is not None:
                        self._type((*path, key), child, of.removeprefix("map of "))
            else:
                self._wrong(path, "a mapping", "write KEY: VALUE pairs below it")
        elif of != "any":
            self._scalar(path, value, of)

    def _scalar(self, path: Path, value: Any, of: str) -> None:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if of == "bool" and not isinstance(value, bool):
            self._wrong(path, "true or false", "write true or false, without quotes")
        elif of == "int" and not (number and isinstance(value, int)):
            self._wrong(path, "a whole number", "write a whole number, without quotes and units")
        elif of == "number" and not number:
            self._wrong(path, "a number", "write a number, without quotes")
        elif of == "string" and not isinstance(value, str):
            simple = isinstance(value, int | float)
            self._wrong(path, "text", "write it in quotes" if simple else "write a single text")
        elif of == "duration" and not (isinstance(value, str) and DURATION.fullmatch(value)):
            self._wrong(path, "a duration", "write a number with its unit: 30s, 5m, 1h30m")
        elif of == "quantity" and not ((isinstance(value, str) and QUANTITY.fullmatch(value)) or number):
            self._wrong(path, "a quantity", "write a number, with a unit if it needs one: 500m, 1Gi")

    def _arguments(self, path: Path, value: Any) -> None:
        """Both forms are accepted in every minor: a mapping, and a list of name and value."""
        facts = self.context.resolved.kubernetes
        rows: list[tuple[Path, Any, Any]] = []
        if isinstance(value, dict):
            rows = [((*path, name), name, given) for name, given in value.items() if given is not None]
        elif isinstance(value, list):
            for index, row in enumerate(value):
                if isinstance(row, dict) and set(row) == {"name", "value"}:
                    rows.append(((*path, index), row["name"], row["value"]))
                else:
                    self._wrong((*path, index), "a mapping of name and value", "write {name: v, value: '4'}")
        else:
            self._wrong(path, "a mapping", "write NAME: VALUE pairs below it, without dashes before the name")
        program = PROGRAMS[self.kind, pattern(path)]
        table: Mapping[str, str | None] = versions("kubernetes-owned")["arguments"][program]
        gone = self._gone(versions("kubernetes-owned")["gone"][program])
        plugins = self._gone(versions("kubernetes-owned")["gone plugins"])
        seen: set[str] = set()
        for at, name, given in rows:
            bare = str(name).lstrip("-")
            if name != bare:
                self._report("IB261", at, f"{name} has dashes before its name", f"write {bare}", of_key=True)
            elif not isinstance(given, str | int | float):
                self._wrong(at, "text", "write a single text")
            elif bare in table:
                self._owned(at, table[bare])
            elif bare in gone:
                why = f"{program} has no argument {bare} since Kubernetes {gone[bare]}, and does not start with it"
                self._report("IB260", at, why, "remove it", of_key=True)
            elif bare.endswith("able-admission-plugins") and (lost := sorted({*str(given).split(",")} & {*plugins})):
                why = (
                    f"{program} has no plugin {lost[0]} since Kubernetes {plugins[lost[0]]}, and does not start with it"
                )
                self._report("IB260", at, why, f"remove {lost[0]} from the list")
            elif bare in seen and facts is not None and facts.kubeadm_api == "v1beta3":
                self._report("IB261", at, f"{bare} is there twice: kubeadm up to 1.30 takes it once", "remove one")
            seen.add(bare)

    def _gone(self, table: Mapping[str, str]) -> Mapping[str, str]:
        """The names that this Kubernetes no longer has, with the first minor without each."""
        now = version(minor(self.release))
        return {name: first for first, names in table.items() if now >= version(first) for name in names.split()}

    def _wrong(self, path: Path, what: str, hint: str) -> None:
        self._report("IB261", path, f"{self._name(path)} must be {what}", hint)

    def _owned(self, path: Path, key: str | None) -> None:
        name = self._name(path)
        hint = f"remove it, and set {key}" if key else "remove it"
        whose = f"follows from {key}" if key else f"is set by {'imgbuild' if len(path) == 1 else 'kubeadm'}"
        self._report(
            "IB262", path, f"the value of {name} {whose}: another value would contradict it", hint, of_key=True
        )

    def _unknown(self, path: Path) -> None:
        name, field = self._name(path), pattern(path)
        of = f"{self.kind} of Kubernetes {minor(self.release)}"
        since = span(self.kind, field)
        if since is not None:
            first, last = since
            has = f"{first} and later do" if last is None else f"{first} to {last} do"
            hint = f"remove it (null), or use such a version: {has}"
            self._report("IB260", path, f"{name} is not a field of {of}", hint, of_key=True)
            return
        # A key with the right name in the wrong place has the field's whole path as its fix.
        every = [*fields(self.kind, self.release), *sections(self.kind, self.release)]
        siblings = sorted({one[-1] for one in every if one[:-1] == field[:-1] and one[-1] != ITEM})
        elsewhere = sorted({".".join(one) for one in every if one[-1] == field[-1] and ITEM not in one})
        hint = f"write {elsewhere[0]}" if elsewhere else closest(field[-1], siblings)
        hint = hint or f"look it up in the reference of {self.kind}"
        self._report("IB260", path, f"{name} is not a field of {of}", hint, of_key=True)

    def _report(self, code: str, path: Path, message: str, hint: str, *, of_key: bool = False) -> None:
        self._wrong_fields.add(path[0])
        self.context.report(code, (*self.above, *path), message, hint, of_key=of_key)

    @staticmethod
    def _name(path: Path) -> str:
        field: Field = tuple(f"[{part}]" if isinstance(part, int) else part for part in path)
        return ".".join(field).replace(".[", "[")
