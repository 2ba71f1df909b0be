"""Ask model servers for one token now and then: one that answers cheap probes may be hung."""
