"""A model on the machines of a Ray cluster, run by Ray Serve LLM.

`engine.py` is the engine as the gateway knows it. Its child is `standalone/driver.py`, which runs in the engine
environment, deploys an application of Ray Serve, and tells how that stands. Each replica asks at the `gate` before
Serve sends it requests: there it is proven as every engine is (`replica.py`). Nothing here imports Ray.
"""
