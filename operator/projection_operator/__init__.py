"""Control plane: the Kubernetes operator."""
