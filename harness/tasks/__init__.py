"""Tasks: data sets with named splits. One file a family; the engine finds them by name in the registry."""
