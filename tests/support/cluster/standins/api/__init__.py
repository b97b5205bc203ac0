"""The API server: TLS by the cluster's CA, generic objects on disk, enough for the real kubectl and helm."""
