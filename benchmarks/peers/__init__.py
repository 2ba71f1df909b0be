"""What is measured beside routestream, in `.venv-peers`: `make bench-peers` makes that.

Each of them is a process of its own that imports nothing of ours. It prints what it measured as one
line of JSON.
"""
