"""How far honest rounding and planted damage lie from the golden-probe reference."""
