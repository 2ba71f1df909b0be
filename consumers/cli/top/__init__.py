"""The live view: endpoints, groups, dead letters and the log on a whole screen."""
