"""Files for the systems that run fleets: each describes the nodes of a cluster, with their seeds, in its own words."""
