"""The chosen policy on real engines: two of them, shared prefixes, beside vllm-router in the same run."""
