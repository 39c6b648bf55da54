"""The commands of quantization."""
