"""The administrators' API, a router per subject."""
