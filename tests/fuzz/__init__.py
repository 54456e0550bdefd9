"""Fuzzing of the decoders, as a command: python -m tests.fuzz --minutes 10."""
