"""The closure of packages: what the target's own package manager chooses, in a base, for `imgbuild lock`."""
