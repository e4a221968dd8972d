"""HTTP as client and server need it, without knowledge of what travels."""
