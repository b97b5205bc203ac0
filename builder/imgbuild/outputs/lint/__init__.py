"""Lint: findings about rendered bytes, which no check of the configuration can make.

`imgbuild check` reports them too.
"""
