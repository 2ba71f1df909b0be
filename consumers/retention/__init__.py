"""Settings of the retention, and advice on what holds the log back."""
