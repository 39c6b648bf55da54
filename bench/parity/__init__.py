"""How far honest adapters and planted damage lie from the trainer's reference, as a real engine serves them."""
