"""What a run of the benchmarks found: kept as JSON, compared with the goals, written as a page."""
