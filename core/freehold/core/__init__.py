"""What every verb shares: manifests, sources, the store, environments, the root command line.

Imports no torch and no web framework at import time, and knows no verb.
"""
