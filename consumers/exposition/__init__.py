"""What a process tells of itself while it runs: metrics, whether it lives, whether it is ready."""
