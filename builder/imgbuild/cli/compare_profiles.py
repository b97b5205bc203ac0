"""How two profiles differ: in their values, in what follows from them, and in the files on the node."""

from __future__ import annotations

from collections.abc import Iterator

from imgbuild.cli.difference import Difference, mode_difference, text_difference, value_difference
from imgbuild.config.redact import shown
from imgbuild.diagnostics.findings import Findings, format_path
from imgbuild.facts.resolved import Resolved
from imgbuild.pipeline import Input, Request, prepare
from imgbuild.render.nodefile import NodeFile


def profile_differences(a: Request, b: Request) -> Iterator[Difference]:
    """Values first, then facts, then the node's files as a unified diff; a secret's content is omitted.

    Raises:
        InvalidInput: one of them has errors.
    """
    old, new = (prepare(request, Findings()) for request in (a, b))
    yield from _values(old.resolved, new.resolved)
    before, after = _facts(old.resolved), _facts(new.resolved)
    for name in before:
        if before[name] != after[name]:
            yield value_difference(name, before[name], after[name], kind="fact")
    yield from _files((a.profile, old), (b.profile, new))


def _values(a: Resolved, b: Resolved) -> Iterator[Difference]:
    """Keys whose values differ; sections are listed by their keys."""
    old, new = a.layered.history, b.layered.history
    for path in sorted({*old, *new}, key=lambda path: [str(part) for part in path]):
        before, after = (history[path][-1][1] if path in history else None for history in (old, new))
        section = any(isinstance(value, (dict, list)) and value for value in (before, after))
        if path and not section and before != after:
            yield value_difference(format_path(path), *(shown(path, value) for value in (before, after)))


def _facts(resolved: Resolved) -> dict[str, str]:
    """What follows from the values but is not in a file on the node."""
    profile = resolved.profile
    efi = f"GPT with an EFI system partition of {profile.image.esp_mib} MiB"
    disk = efi if profile.firmware == "efi" else "GPT with a BIOS boot partition"
    return {
        "kernel arguments": " ".join(resolved.kernel_arguments),
        "disk": disk if profile.mode == "baked" else "the distribution's own image",
    }


def _files(a: tuple[str, Input], b: tuple[str, Input]) -> Iterator[Difference]:
    old, new = (_node_files(ready) for _, ready in (a, b))
    for path in sorted({*old, *new}):
        before, after = old.get(path), new.get(path)
        if before == after:
            continue
        if before is not None and after is not None and before.mode != after.mode:
            yield mode_difference(path, f"{before.mode:04o}", f"{after.mode:04o}")
        label_a, label_b = (f"{name}{path}" for name, _ in (a, b))
        yield text_difference(
            path,
            (label_a if before else "/dev/null", _lines(before)),
            (label_b if after else "/dev/null", _lines(after)),
        )


def _node_files(ready: Input) -> dict[str, NodeFile]:
    rendered = ready.rendered
    return {file.path: file for tree in (rendered.install, rendered.node) for file in tree.files}


def _lines(file: NodeFile | None) -> list[str]:
    if file is None:
        return []
    return ["(secret)"] if file.secret else file.content.decode("utf-8", "backslashreplace").splitlines()
