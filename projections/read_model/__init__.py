"""Read models: the store, generations, follower and reader."""
