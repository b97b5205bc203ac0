"""The boot scripts that serve answers, for iPXE and for GRUB."""

from __future__ import annotations

import re
from collections.abc import Sequence

from imgbuild.outputs.bootfile import BootFile
from imgbuild.serve.desk import Answer

RETRY = 10
"""Seconds after which a machine that waits for confirmation asks again."""


def first_ipxe(url: str) -> str:
    """The script for every iPXE: it asks for that of its card. What it tells of the machine is shown on the page."""
    return (
        "#!ipxe\n"
        "isset ${ip} || dhcp || goto failed\n"
        f"chain --replace {url}boot/${{mac:hexhyp}}.ipxe?serial=${{serial:uristring}}&product=${{product:uristring}} "
        "|| goto failed\n"
        ":failed\n"
        f"echo imgbuild serve at {url} did not answer with a boot script\n"
        "prompt --timeout 30000 Press a key for a shell && shell || exit 1\n"
    )


def ipxe(answer: Answer, nodes: BootFile, arguments: Sequence[str], url: str, mac: str) -> str:
    """The script for one card. ``url`` is where pxe/ is, with a slash at the end."""
    name, text = answer.machine.name if answer.machine else "", _plain(answer.text)
    if answer.kind == "boot":
        return (
            f"#!ipxe\necho {name}: loading the kernel\n"
            f"kernel {url}{nodes.kernel} initrd={nodes.initrd} {' '.join(arguments)} || goto failed\n"
            f"initrd --name {nodes.initrd} {url}{nodes.initrd} || goto failed\n"
            "boot || goto failed\n"
            f":failed\necho {name}: boot failed\nprompt --timeout 30000 Press a key for a shell && shell || exit 1\n"
        )
    if answer.kind == "disk":  # an iPXE exit would end in the firmware's menu
        return (
            f"#!ipxe\necho {name} is installed: booting its disk\n"
            "iseq ${platform} pcbios && sanboot --no-describe --drive 0x80 ||\n"
            f"chain {url}disk.efi || exit 1\n"
        )
    if answer.kind == "wait":
        again = f"chain --replace {url}boot/{mac.replace(':', '-')}.ipxe"
        return f"#!ipxe\n:wait\necho {text}\nsleep {RETRY}\n{again} || goto wait\n"
    return (
        f"#!ipxe\necho {text}\n"
        "echo imgbuild serve gives this machine no keys.\n"
        "prompt --timeout 30000 Press a key, or wait for the next boot device ||\nexit 1\n"
    )


def grub(answer: Answer, nodes: BootFile, arguments: Sequence[str], host: str, mac: str) -> str:
    """The same for GRUB started over the network. ``host`` is HOST or HOST:PORT, as in GRUB's (http,HOST)."""
    base = f"(http,{host})/"
    name = answer.machine.name if answer.machine else ""
    if answer.kind == "boot":
        words = " ".join(_quoted(word) for word in arguments)
        return (
            f"echo {_quoted(f'{name}: loading the kernel')}\n"
            f"linux {base}{nodes.kernel} {words}\ninitrd {base}{nodes.initrd}\nboot\n"
        )
    if answer.kind == "disk":
        return (
            f"echo {_quoted(f'{name} is installed: booting its disk')}\n"
            'if [ "$grub_platform" = efi ]; then\n'
            f"  chainloader {base}disk.efi\nelse\n  set root=(hd0)\n  chainloader +1\nfi\nboot\n"
        )
    if answer.kind == "wait":
        again = f"configfile {base}grub/grub.cfg-01-{mac.replace(':', '-')}"
        return f"echo {_quoted(answer.text)}\nsleep {RETRY}\n{again}\n"
    no_keys = "imgbuild serve gives this machine no keys."
    return f"echo {_quoted(answer.text)}\necho {_quoted(no_keys)}\nsleep 30\nexit\n"


def first_grub(host: str) -> str:
    """grub/grub.cfg beside a GRUB that came by TFTP: the rest comes over HTTP."""
    return f"configfile (http,{host})/grub/grub.cfg-01-$net_default_mac\n"


def _plain(text: str) -> str:
    """A text that iPXE echoes as it is: without what expands or ends a command."""
    return re.sub(r"[^\w .,:()'/-]", "_", text)


def _quoted(word: str) -> str:
    """A word for GRUB: in single quotes only a single quote is special (GRUB manual, Quoting)."""
    return "'" + word.replace("'", "'\\''") + "'"
