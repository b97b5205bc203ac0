"""Tests of imgbuild; unit/ mirrors builder/imgbuild/, integration/ runs real parts, support/ is what tests share."""
