"""What travels in a node's user-data, read back: the files of its archive and those of write_files."""

from __future__ import annotations

import base64
import lzma
import re
from collections.abc import Mapping
from typing import Any

_ARCHIVE = re.compile(r'<<"END" .*\n(\S+)\nEND\n')


def packed(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The files of the archive, as write_files would have them."""
    texts = [found[1] for command in document.get("bootcmd", []) if (found := _ARCHIVE.search(str(command)))]
    if not texts:
        return []
    (text,) = texts
    plain, out = lzma.decompress(base64.b64decode(text)), []
    while plain:
        line, _, plain = plain.partition(b"\n")
        mode, size, path = line.decode().split(" ", 2)
        content, plain = plain[: int(size)], plain[int(size) :]
        item: dict[str, Any] = {"path": path, "permissions": mode, "owner": "root:root"}
        try:
            item["content"] = content.decode()
        except UnicodeDecodeError:
            item |= {"content": base64.b64encode(content).decode(), "encoding": "b64"}
        out.append(item)
    return out


def files(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every file that a node's user-data brings, as items of write_files."""
    return [*packed(document), *document.get("write_files", [])]
