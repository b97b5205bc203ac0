"""The user's drop-in files of containerd: what its configuration is after it has imported them.

Sources: LoadConfig and mergeConfig in services/server/config/config.go (1.6, 1.7) and cmd/containerd/server/config
(2.0 to 2.4). containerd 1.x replaces a plugin's whole section by the one in the drop-in; 2.x merges them key by key.
Both replace each proxy plugin and stream processor as a whole, and append to lists.
"""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from packaging.version import Version

from imgbuild.config.profile import Profile

MAIN = "/etc/containerd/config.toml"
FOLDER = "/etc/containerd/conf.d"
LOGINS = f"{FOLDER}/zz-imgbuild-logins.toml"
"""imgbuild's own, of the seed; the last one."""
_WHOLE = ("stream_processors", "proxy_plugins", "timeouts")


@dataclass(frozen=True)
class DropIn:
    """One file. ``index`` is its place in ``files``; ``table`` is None if it is not TOML: ``wrong`` has the reason."""

    index: int
    path: str
    table: Mapping[str, Any] | None
    wrong: str = ""


def drop_ins(profile: Profile) -> Sequence[DropIn]:
    """In the order in which containerd reads them: Go's filepath.Glob sorts names."""
    found = []
    for index, file in enumerate(profile.files):
        folder, _, name = file.path.rpartition("/")
        if folder == FOLDER and name.endswith(".toml") and not name.startswith("."):
            try:
                found.append(DropIn(index, file.path, tomllib.loads(file.text)))
            except tomllib.TOMLDecodeError as error:
                found.append(DropIn(index, file.path, None, str(error)))
    return sorted(found, key=lambda each: each.path)


def merged(main: Mapping[str, Any], files: Sequence[DropIn], release: Version) -> dict[str, Any]:
    """``main`` after containerd ``release`` has imported the files."""
    out = copy.deepcopy(dict(main))
    for file in files:
        for key, value in (file.table or {}).items():
            if key in _WHOLE or (key == "plugins" and release.major < 2):
                out.setdefault(key, {}).update(copy.deepcopy(value))
            else:
                out[key] = _merge(out.get(key), value)
    return out


def _merge(under: Any, over: Any) -> Any:
    if isinstance(under, dict) and isinstance(over, dict):
        return {**under, **{key: _merge(under.get(key), value) for key, value in over.items()}}
    if isinstance(under, list) and isinstance(over, list):
        return [*under, *(value for value in over if value not in under)]
    return copy.deepcopy(over)


def lost(main: Mapping[str, Any], files: Sequence[DropIn], release: Version) -> Iterator[tuple[DropIn, str, list[str]]]:
    """For each section that a drop-in of containerd 1.x replaces: the file, the plugin and the keys that are lost."""
    if release.major >= 2:
        return
    for file in files:
        for plugin, section in ((file.table or {}).get("plugins") or {}).items():
            before = main.get("plugins", {}).get(plugin)
            if isinstance(before, dict) and isinstance(section, dict):
                gone = [key for key in _keys(before) if key not in set(_keys(section))]
                if gone:
                    yield file, plugin, gone


def _keys(table: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _keys(value, f"{above}{key}.")
        else:
            yield f"{above}{key}"
