"""The schema of a suite: what is asked, of whom, how it is scored and what it may cost."""
