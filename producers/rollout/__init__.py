"""Move an endpoint's traffic from revision to revision: the decisions, the gate, the keeper."""
