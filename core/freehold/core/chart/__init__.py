"""Charts of curves, as SVG inside a page and as PNG."""
