"""The `routestream` command: a folder for each noun, `terminal` for how things are printed."""
