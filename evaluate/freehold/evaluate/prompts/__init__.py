"""Where prompts come from: own files, recorded traffic, tasks of lm-evaluation-harness."""
