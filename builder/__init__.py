"""imgbuild: one profile in, a Kubernetes node that comes up by itself out."""

__version__ = "0.1.0"
