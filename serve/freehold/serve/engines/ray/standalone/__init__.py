"""What runs in the engine environment and imports Ray. Freehold need not be installed there."""
