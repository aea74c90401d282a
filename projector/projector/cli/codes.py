"""Exit codes of the commands."""

FAILED, BAD_USAGE, FENCED = 1, 2, 3
"""A check failed, or a fault of ours; what the user gave cannot be used; another worker took over."""
