"""What browsers are told of a report: a page of its own making, which holds what models answered."""

REPORT_HEADERS = {
    "content-security-policy": "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
"""A report's own script may filter its rows. In a sandbox it has no origin: no cookie, no storage, no connection."""
