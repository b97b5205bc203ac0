"""Lint: findings about what is rendered, which no check of the configuration can see.

`imgbuild check` reports them too.
"""
