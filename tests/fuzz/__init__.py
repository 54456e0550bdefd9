"""Fuzzing of decoders and reader, as a command: python -m tests.fuzz --minutes 10."""
