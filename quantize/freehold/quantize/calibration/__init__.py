"""The text that a method looks at while it quantizes."""
