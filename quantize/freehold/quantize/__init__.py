"""Quantization: methods, calibration, tools, quality gate. Its commands are not published yet: a tool is missing."""
