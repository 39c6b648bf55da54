"""A route that contemplates: several models draft, criticise and agree, and the client sees one answer.

Each part is a request of its own through the relay, with a client that lives in memory: so it is asked, aborted,
metered and written down like any other.
"""
