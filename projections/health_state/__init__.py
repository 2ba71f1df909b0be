"""Keep each route's health over time: the projection health-state, and its queries."""
