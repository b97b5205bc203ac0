"""The one way from a template in node/ or cloudinit/ to bytes. User text is only ever data, never a template."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from imgbuild.config.data import data_dir

Room = Literal["node", "cloudinit"]

_TOML_ESCAPE = {chr(code): f"\\u{code:04X}" for code in (*range(0x20), 0x7F)} | {
    '"': '\\"',
    "\\": "\\\\",
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\f": "\\f",
    "\r": "\\r",
}


def sh(value: object) -> str:
    """``value`` as one word of a POSIX shell."""
    return shlex.quote(str(value))


def toml(value: object) -> str:
    """``value`` as a TOML value: text, bool, int, or a list of those. JSON's escapes differ: pairs, DEL.

    Raises:
        TypeError: it is none of these.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + "".join(_TOML_ESCAPE.get(c, c) for c in value) + '"'
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(v) for v in value) + "]"
    raise TypeError(f"not a TOML value: {type(value).__name__}")


def toml_key(value: str) -> str:
    """``value`` as a key of TOML: bare if it can be, else quoted."""
    return value if re.fullmatch("[A-Za-z0-9_-]+", value) else toml(value)


def toml_document(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> str:
    """Nested mappings as a TOML document; lists have plain values or mappings."""
    tables = {key: value for key, value in table.items() if isinstance(value, dict)}
    arrays = {key: value for key, value in table.items() if isinstance(value, list) and value and _is_table(value[0])}
    plain = {key: value for key, value in table.items() if key not in tables and key not in arrays}
    lines = "".join(f"{toml_key(key)} = {toml(value)}\n" for key, value in plain.items())
    head = f"\n[{'.'.join(map(toml_key, path))}]\n" if path and (plain or not table) else ""
    below = "".join(toml_document(value, (*path, key)) for key, value in tables.items())
    for key, items in arrays.items():
        for item in items:
            below += f"\n[[{'.'.join(map(toml_key, (*path, key)))}]]\n{toml_document(item)}"
    return f"{head}{lines}{below}"


def _is_table(value: object) -> bool:
    return isinstance(value, dict)


def to_json(value: object) -> str:
    """``value`` as JSON on one line with sorted keys; its strings are valid YAML as well."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True).replace("\x7f", "\\u007f")


def unit(value: object) -> str:
    """``value`` as text in a systemd unit: specifiers and variables are escaped (man systemd.unit)."""
    return str(value).replace("%", "%%").replace("$", "$$")


@cache
def environment(room: Room) -> Environment:
    """The environment of one folder. A shell script with ``${#name}`` cannot be a template: Jinja reads a comment."""
    made = Environment(
        loader=FileSystemLoader(data_dir(room), encoding="utf-8"),
        undefined=StrictUndefined,
        auto_reload=False,
        autoescape=False,  # noqa: S701 - shell, TOML, INI and YAML: HTML's escapes would corrupt them
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update({"sh": sh, "toml": toml, "toml_key": toml_key, "json": to_json, "unit": unit})
    return made


def render(room: Room, name: str, /, **context: object) -> bytes:
    """A template of a folder, as bytes: ``render("node", "etc/crictl.yaml.j2", crictl=profile.crictl)``."""
    return environment(room).get_template(name).render(context).encode()


@cache
def static(room: Room, name: str, /) -> bytes:
    """A file of a folder, unchanged: scripts and other files without values of the profile."""
    return (data_dir(room) / name).read_bytes()
