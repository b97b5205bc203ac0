"""How long before something ends a check warns about it."""

from __future__ import annotations

from datetime import timedelta

CERTIFICATE = timedelta(days=30)
"""A certificate in the profile: time to get its successor."""
KEY = timedelta(days=60)
"""A key of a repository: its owner extends it, and publishes that some weeks before."""
SUPPORT = timedelta(days=60)
"""The fixes of a version: time to plan an upgrade, and for nodes that are built now to be used at all."""
TOKEN = timedelta(days=7)
"""The bootstrap token, at most half its life: time for nodes that boot later than others."""
