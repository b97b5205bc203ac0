"""What tests use to speak to containerd through CRI."""
