"""From a program to findings: what its names mean, which clients it makes, what it asks of them."""

from freehold.evaluate.scan.detect.detecting import detect

__all__ = ["detect"]
