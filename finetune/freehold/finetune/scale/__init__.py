"""One run shared by several processes: on this machine by accelerate, over a cluster by Ray Train."""
