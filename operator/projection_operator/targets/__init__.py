"""Clients of what lies outside the cluster: registries in PostgreSQL, and Kafka."""
