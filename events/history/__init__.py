"""The log read together with its archive."""
