"""Data plane: folds a log into read models."""
