"""How a group consumes: it reads, processes, settles, claims, and keeps dead letters."""
