"""A finished file system of a root, kept between builds: what a build changes is written into it without unpacking."""
