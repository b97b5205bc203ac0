"""A version, its URLs and its checksum belong together: changing one without the others is reported."""

from __future__ import annotations

import re
from collections.abc import Sequence

from imgbuild.checks.context import Context
from imgbuild.diagnostics.findings import Path, format_path

_VERSION = re.compile(r"(?<![0-9.])v?([0-9]+\.[0-9]+\.[0-9]+)(?![0-9])")


def pinned(
    context: Context, code: str, path: Path, version: str, urls: Sequence[str], what: str, at: Path | None = None
) -> None:
    """Findings about an archive at ``path`` that has urls and sha256; its version is at ``at``, or beside them."""
    at = at or (*path, "version")
    if at in context.resolved.loaded.recovered:  # reported already as an invalid version
        return
    others: set[str] = set()
    for index, url in enumerate(urls):
        found = _VERSION.findall(url)
        if found and version not in url:
            others.add(found[-1])
            # One of imgbuild's layers set the URL, the user's own file another version: that is the line to report.
            ours = context.shipped(*path, "urls", index) and not context.shipped(*at)
            context.report(
                code, at if ours else (*path, "urls", index),
                f"{what}: version is {version}, but "
                f"{_where(context, path, index) if ours else 'this URL is'} of {found[-1]}",
                f"run imgbuild lock with these options, which finds those of {version}; or set "
                f"{format_path(path)}.urls and .sha256 to them, or the version to {found[-1]}",
            )  # fmt: skip
    version_mark, sum_mark = context.mark(*at), context.mark(*path, "sha256")
    if others or version_mark is None or sum_mark is None:
        return
    if context.shipped(*path, "sha256") and not context.shipped(*at) and _changed(context, at):
        context.report(
            code, at,
            f"{what}: version is {version}, but {format_path(path)}.sha256 ({sum_mark.named}) is for another version",
            f"run imgbuild lock with these options, which finds that of {version}; or set {format_path(path)}.sha256",
        )  # fmt: skip


def _where(context: Context, path: Path, index: int) -> str:
    """The URL and the sha256 that are unchanged, with their place."""
    mark = context.mark(*path, "urls", index)
    return f"{format_path(path)}.urls and .sha256{f' ({mark.named})' if mark is not None else ''} are still those"


def _changed(context: Context, at: Path) -> bool:
    history = context.resolved.layered.history.get(at, [])
    return len({value for _, value in history}) > 1
