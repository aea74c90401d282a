"""The fold: events to deltas (`compile`), and what deltas are (`delta`). Knows neither logs nor databases."""

SEMANTICS: int = 1
"""Number of the engine's semantics; a build keeps the one that it was begun with."""
