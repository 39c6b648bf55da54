"""What runs in the pods of the Helm chart: an engine's preparation, its attendant, and the gateway alone."""
