"""What comes from the network: files by HTTP, images from registries."""
