"""When contemplation pays: one answer, a majority and a debate of the same small model."""
