"""Models of the config that are unloaded and loaded while the gateway runs."""
