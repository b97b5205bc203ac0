"""Programs for imgbuild's developers."""
