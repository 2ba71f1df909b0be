"""The commands about endpoints, their routes and recorded facts."""
