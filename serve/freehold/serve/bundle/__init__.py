"""The air-gap bundle: everything that a deployment needs in one signed archive, made outside and installed inside."""
