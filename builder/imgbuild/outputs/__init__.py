"""Bytes to files: seeds, user-data for clouds, PXE files, elements, the manifest; and the lint of rendered bytes."""
