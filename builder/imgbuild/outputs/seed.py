"""The NoCloud seed as an ISO image, the same bytes for the same input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from imgbuild.outputs.tree import OutFile

IMAGE = "seed.iso"


class SeedGroup(Mapping[str, OutFile]):
    """nodes/: each node's seed as files and as an image.

    ``seeds``: NoCloud files by node name. Images are made lazily: one is twenty times the size of its seed.
    """

    def __init__(self, seeds: Mapping[str, Mapping[str, bytes]], epoch: int) -> None:
        self.seeds, self.epoch = seeds, epoch

    def __iter__(self) -> Iterator[str]:
        for node, seed in self.seeds.items():
            yield from (f"{node}/{name}" for name in (*seed, IMAGE))

    def __len__(self) -> int:
        return sum(len(seed) + 1 for seed in self.seeds.values())

    def __getitem__(self, path: str) -> OutFile:
        node, _, name = path.partition("/")
        seed = self.seeds[node]
        return OutFile(seed_iso(seed, self.epoch) if name == IMAGE else seed[name], 0o600)


def seed_iso(files: Mapping[str, bytes], epoch: int) -> bytes:
    """An ISO 9660 image with these files at its root, under exactly these names (Joliet and Rock Ridge 1.09).

    Without both extensions the names would be ``USERDATA.;1`` and cloud-init would find no seed (pycdlib #7).
    """
    from imgbuild.outputs.iso import empty_iso  # pycdlib: `check` makes no image

    empty, places = empty_iso(tuple(sorted((name, len(content)) for name, content in files.items())), epoch)
    image = bytearray(empty)
    for name, content in files.items():
        image[places[name] : places[name] + len(content)] = content
    return bytes(image)
