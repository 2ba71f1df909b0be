"""The core path of a group: read, process, settle, claim, dead letters."""
