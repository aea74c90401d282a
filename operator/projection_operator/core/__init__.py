"""Decisions of the operator: pure functions over frozen values. No clock, no I/O, no Kubernetes types."""
