"""What of a run stays in the artifact beside its lineage."""

RECORD_FILE = "quantization.json"
"""What was chosen, and a fingerprint of what was calibrated on."""
