"""`/v1/batches`: offline inference over a file of requests, on what the gateway's models have to spare."""
