"""The demo: everything on this machine, each step checked."""
