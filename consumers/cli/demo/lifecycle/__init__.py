"""The demo's second story: health checking and the life of a route, from warm-up to its end."""
