"""Running code that a model wrote, where it can do little harm."""
