"""Adapters of the port `Source`: one module per kind of log."""
