"""Read model definitions and runtime variants: what says how an endpoint's routes are checked."""
