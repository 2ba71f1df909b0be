"""The roles of accounts on the server: what each may do there, as Redis's ACL says it."""
