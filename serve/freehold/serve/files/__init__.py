"""`/v1/files`: uploads that training reads, and results that it leaves."""
