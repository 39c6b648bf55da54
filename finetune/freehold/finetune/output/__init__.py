"""What comes of a run: the adapter artifact, its card and lineage, and the merged model."""
