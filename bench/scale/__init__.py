"""Routing and autoscaling in simulation, from 1 to 1,000 engines, and the policy that it chooses on real engines."""
