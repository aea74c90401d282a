"""The worker: one loop that carries a build's partitions from the log into the target, for the build's whole life."""
