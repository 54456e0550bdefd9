"""The verb `state`: what was learned, looked at and changed, in a stopped file or in the running daemon."""
