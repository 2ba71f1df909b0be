"""POSTs chosen events as CloudEvents, to a chat or a pager."""
