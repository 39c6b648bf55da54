"""The console at `/console`: server-rendered pages over the public and the administrators' API.

A page asks the API in this process with the rights of whoever signed in, so what it does a script can do.
"""
