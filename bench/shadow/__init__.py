"""What clients notice of a shadow: nothing, however the candidate behaves."""
