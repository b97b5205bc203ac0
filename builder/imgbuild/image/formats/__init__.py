"""The formats of the disk image, all made from the one raw disk."""
