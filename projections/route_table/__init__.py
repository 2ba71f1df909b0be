"""Keep what AppProxy routes by: the projection route-table, and its queries."""
