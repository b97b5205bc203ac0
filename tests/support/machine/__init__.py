"""Tests of imgbuild.machine."""
