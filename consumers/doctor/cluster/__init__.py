"""What the doctor finds of a Redis Cluster."""
