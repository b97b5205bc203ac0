"""The disk: partitions, file systems and boot loader, made from a root file system without mounting anything."""
