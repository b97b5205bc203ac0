"""The root file system: built by diskimage-builder once for each content hash, and cached."""
