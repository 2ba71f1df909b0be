"""The health checker: probes routes and records transitions."""
