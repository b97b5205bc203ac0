"""imgbuild: one profile in, a Kubernetes node that comes up by itself out."""

__version__ = "0.1.0"
__released__ = "2026-11-28"  # the day of the newest fact in profiles/versions; each release sets it
