"""Quantization: methods, calibration, quality gate. The verb is not written yet."""
