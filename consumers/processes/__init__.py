"""The processes that run groups, checkers and retention; their supervisor."""
