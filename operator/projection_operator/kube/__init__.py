"""The API server: a few calls on plain dictionaries, and the Lease."""
