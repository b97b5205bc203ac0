"""One file with everything that a build needs: how it is written, read, verified and used as a store."""
