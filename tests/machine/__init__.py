"""Tests of builder.machine."""
