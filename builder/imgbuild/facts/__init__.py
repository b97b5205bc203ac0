"""Facts: what follows from configuration. Pure, so that checks and rendering never disagree."""
