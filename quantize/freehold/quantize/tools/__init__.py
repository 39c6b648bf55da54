"""The tools that do the work, each in a process of its own; `running` starts them."""
