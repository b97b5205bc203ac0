"""The disk image: a cached root file system, node files on top of it, and a disk made without mounting anything.

``rootfs`` runs diskimage-builder once per content hash, ``assemble`` makes a disk of its result, ``bootproof``
reads the finished disk and proves what its boot loader will start. ``requirements`` reports in advance what the
host lacks for that.
"""
