"""Long commands that somebody starts over HTTP: pulls, quantizations, evaluations. Each is a folder and a child."""
