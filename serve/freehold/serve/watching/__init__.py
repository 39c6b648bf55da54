"""What is going on now, for people who look: a short memory of the metrics, kept only while somebody looks."""
