"""The proof: what the finished disk will start, read from the disk itself."""
