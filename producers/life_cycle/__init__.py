"""The life-cycle of routes: what sessions and deadlines lead to, and what is removed first."""
