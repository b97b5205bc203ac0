"""Programs that gcc links here against a glibc of the future: the dynamic loader itself refuses to start them."""

from __future__ import annotations

import subprocess
from pathlib import Path

NEEDS = "2.99"
_LIBRARY = "int future(void) { return 0; }\n"
_VERSIONS = f"GLIBC_2.97 {{ global: older; }};\nGLIBC_{NEEDS} {{ global: future; }} GLIBC_2.97;\n"
_MAIN = '#include <stdio.h>\nint future(void);\nint main(void) { puts("v1.35.8"); return future(); }\n'


def of_a_newer_glibc(folder: Path) -> bytes:
    """A dynamically linked program that needs the version GLIBC_2.99 of libm.so.6, as this system's linker writes it.

    It is linked against a library that has that version; what the loader finds when it starts is the real one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("future.c", _LIBRARY), ("versions.map", _VERSIONS), ("main.c", _MAIN)):
        (folder / name).write_text(text)
    shared = ["-shared", "-fPIC", "-nostdlib", "-Wl,-soname,libm.so.6", "-Wl,--version-script=versions.map"]
    for command in (
        ["gcc", *shared, "future.c", "-o", "libfuture.so"],
        ["gcc", "main.c", "./libfuture.so", "-o", "main"],
    ):
        subprocess.run(command, cwd=folder, check=True)
    return (folder / "main").read_bytes()
