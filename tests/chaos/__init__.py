"""The proof that nothing is lost: the daemon is killed again and again, and compared with a run that was not."""
