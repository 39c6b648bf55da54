"""From `freehold.yaml` to the values of the Helm chart: writing them, checking them, and listing what they bring in."""
