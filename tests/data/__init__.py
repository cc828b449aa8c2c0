"""Public traces, fetched from a server of our own."""
