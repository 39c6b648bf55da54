"""Models as torch sees them: loading one, and its tree of modules without weights. Imports torch when called."""
