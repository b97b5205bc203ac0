"""Configuration: YAML text becomes typed values, each with the place that set it."""
