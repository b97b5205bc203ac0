"""What imgbuild tells its user: findings about the input, errors that end a run, and progress."""
