"""Profile and cluster become bytes. Pure: no clock, no network, no disk writes, no randomness."""
