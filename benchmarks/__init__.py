"""The benchmarks: what routestream costs, beside plain redis-py in the same run."""
