"""Numbered changes of the registry's schema, applied in order, each once."""
