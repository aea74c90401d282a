"""The fold: events to deltas (`compile`), and what deltas are (`delta`). Knows neither logs nor databases."""
