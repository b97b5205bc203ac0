"""Load a BPF program that lets every packet through, and pin it: by bpf(2), without clang.

bpf_program.py xdp|tc NAME PIN [INTERFACE]: with an interface it is attached there by a link (XDP only), and the link is
pinned in its place, as Cilium does.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
from pathlib import Path

BPF = 321
"""The number of bpf(2) on x86-64."""
LOAD, PIN, LINK = 5, 6, 28
KINDS = {"tc": (3, 0), "xdp": (6, 2)}
"""Type of the program, and what it returns: TC_ACT_OK, XDP_PASS."""
ATTACH_XDP, DRIVER = 37, 4


def bpf(command: int, attributes: bytes) -> int:
    """Call bpf(2). Raises OSError."""
    library = ctypes.CDLL(None, use_errno=True)
    size = 128
    result = int(library.syscall(BPF, command, ctypes.create_string_buffer(attributes, size), size))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def main(kind: str, name: str, pin: str, interface: str = "") -> None:
    """r0 = what lets it through; exit."""
    program, verdict = KINDS[kind]
    code = ctypes.create_string_buffer(struct.pack("=BBhi", 0xB7, 0, 0, verdict) + struct.pack("=BBhi", 0x95, 0, 0, 0))
    licence, path = ctypes.create_string_buffer(b"GPL"), ctypes.create_string_buffer(pin.encode())
    head = struct.pack("=IIQQ", program, 2, ctypes.addressof(code), ctypes.addressof(licence))
    made = bpf(LOAD, head + struct.pack("=IIQII16s", 0, 0, 0, 0, 0, name.encode()))
    if interface:
        made = bpf(LINK, struct.pack("=IIII", made, socket.if_nametoindex(interface), ATTACH_XDP, DRIVER))
    Path(pin).parent.mkdir(parents=True, exist_ok=True)
    bpf(PIN, struct.pack("=QI", ctypes.addressof(path), made))


main(*sys.argv[1:])
