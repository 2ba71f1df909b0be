"""When which route is probed, and how many probes may be under way at once."""
