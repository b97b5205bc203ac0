"""Write what follows from the declarations of settings and codes: docs/reference and schemas/.

    python -m tools.reference

A page is written by hand but for its tables: what is between ``<!-- keys: time -->`` and ``<!-- end of keys -->`` is
made from the keys named there and all below them; what is between ``<!-- scopes -->`` and ``<!-- end of scopes -->``,
from the scopes of a profile's keys. tests/unit/config/test_declared.py checks that all is current.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from imgbuild.config.declared import Place, documents, root
from imgbuild.config.schema import KINDS, json_schema
from imgbuild.config.setting import Scope
from imgbuild.config.setting_words import default_words, example_words, type_words
from tools import findings

ROOT = Path(__file__).resolve().parents[1]
_BLOCK = re.compile(r"(?s)<!-- keys: (?P<keys>[a-z_ ]+) -->\n.*?<!-- end of keys -->")
_SCOPES = re.compile(r"(?s)<!-- scopes -->\n.*?<!-- end of scopes -->")


def rows(place: Place) -> Iterator[Place]:
    """The keys of a table: a place and all below it, without the sections."""
    if place.model is None or place.nullable:
        yield place
    for below in place.children():
        yield from rows(below)


def _recipe(places: list[Place]) -> str:
    """The lines of the recipe that a section answers."""
    lines = [
        place.setting.recipe.rstrip("; ") for place in places if place.setting is not None and place.setting.recipe
    ]
    return f"Recipe: {', '.join(f'`{line}`' for line in dict.fromkeys(lines))}." if lines else "Not in the recipe."


def _row(place: Place, *, scoped: bool) -> str:
    example = example_words(place)
    text = (place.setting.description if place.setting is not None else "") + (
        f" Example: `{example}`" if example else ""
    )
    cells = [f"`{place.key}`", type_words(place), default_words(place), *([place.scope] if scoped else []), text]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def section(kind: str, keys: list[str]) -> str:
    """What a page has for some top-level keys: the recipe's lines and the table."""
    top = {place.path[-1]: place for place in root(documents()[kind]).children()}
    places = [place for key in keys for place in rows(top[key])]
    scoped = kind == "profile"
    heads = ["Key", "Type", "Default", *(["Scope"] if scoped else []), "What it does"]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *(_row(place, scoped=scoped) for place in places)]
    if scoped:
        lines = [_recipe([*(top[key] for key in keys), *places]), "", *lines]
    return "\n".join(lines)


def scoped(scope: Scope) -> list[str]:
    """The keys of a profile with this scope; a section means all keys in it if they have the same one."""

    def keys(place: Place) -> Iterator[str]:
        scopes = {row.scope for row in rows(place)}
        if scopes == {scope}:
            yield place.key
        elif scope in scopes:
            for below in place.children():
                yield from keys(below)

    return [key for top in root(documents()["profile"]).children() for key in keys(top)]


def scopes() -> str:
    """Which keys a node may have for itself, and which it may not."""
    lists = {scope: ", ".join(f"`{key}`" for key in scoped(scope)) for scope in ("seed", "cluster")}
    lines = ["| Scope | Keys, each with all keys below it |", "|---|---|"]
    lines += [f"| `{scope}` | {text} |" for scope, text in lists.items()]
    return "\n".join([*lines, "| `image` | All others |"])


def page(kind: str, text: str) -> str:
    """A page with its tables rewritten.

    Raises:
        ValueError: a top-level key is on the page not once.
    """
    named = [key for found in _BLOCK.finditer(text) for key in found["keys"].split()]
    every = list(documents()[kind].model_fields)
    if sorted(named) != sorted(every):
        wrong = sorted({*named} ^ {*every}) or named
        raise ValueError(f"docs/reference/{kind}.md: each key must be there once: {wrong}")

    def fill(found: re.Match[str]) -> str:
        return f"<!-- keys: {found['keys']} -->\n\n{section(kind, found['keys'].split())}\n\n<!-- end of keys -->"

    text = _BLOCK.sub(fill, text)
    return _SCOPES.sub(lambda _: f"<!-- scopes -->\n\n{scopes()}\n\n<!-- end of scopes -->", text)


def files(base: Path = ROOT) -> Mapping[Path, str]:
    """Every file that is made from the declarations, as it has to be."""
    out: dict[Path, str] = {}
    for kind in KINDS:
        place = base / "docs" / "reference" / f"{kind}.md"
        out[place] = page(kind, place.read_text())
        out[base / "schemas" / f"{kind}.json"] = json.dumps(json_schema(kind), indent=2, ensure_ascii=False) + "\n"
    return out | findings.files(base)


def main() -> None:
    """Write all files that are not current."""
    for path, text in files().items():
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
