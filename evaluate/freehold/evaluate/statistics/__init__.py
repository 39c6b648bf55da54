"""Whether a difference between two targets is one: pairs, intervals, tests, corrections, and what could be seen at all.

Every prompt is its own control: only the difference between two answers to the same prompt counts.
"""
