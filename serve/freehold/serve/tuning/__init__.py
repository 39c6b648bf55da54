"""`/v1/fine_tuning/jobs`: the API, and the processes that run `freehold finetune` for it."""
