"""The other side of `/v1/batches`: what `freehold batch` does, over OpenAI's own client, at any gateway's URL."""
