"""Record endpoints and routes: the endpoint service, its decisions, model definitions."""
