"""The ways to probe a route: over HTTP, over gRPC, and by a mere connection."""
