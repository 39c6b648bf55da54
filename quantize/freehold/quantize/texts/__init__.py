"""Text to calibrate on and text to judge by: what ships with Freehold, and the user's own."""
