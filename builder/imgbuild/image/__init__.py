"""The disk image: a cached root file system, node files over it, and a disk made without mounting anything.

``rootfs`` runs diskimage-builder once per content hash, ``assemble`` makes a disk of its result, ``bootproof``
reads the finished disk and proves what its boot loader will start. ``requirements`` says up front what the
host lacks for all of that.
"""
