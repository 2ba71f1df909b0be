"""Store read models in Redis, and follow them in memory."""
