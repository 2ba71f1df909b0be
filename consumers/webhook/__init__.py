"""The webhook: chosen events, POSTed as CloudEvents to a chat or a pager."""
