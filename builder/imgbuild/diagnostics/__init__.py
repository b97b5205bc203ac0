"""What imgbuild reports to its user: findings about the input, errors that end a run, and progress."""
