"""Tests of imgbuild; folders mirror builder/imgbuild/."""
