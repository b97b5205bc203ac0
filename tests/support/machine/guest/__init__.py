"""What tests run inside a guest."""
