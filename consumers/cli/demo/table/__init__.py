"""The demo's first story: how the route table is kept, whatever happens to what keeps it."""
