"""One Redis or Valkey server: settings, connections, scripts, errors."""
