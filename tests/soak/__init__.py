"""More load than the daemon can carry, for as long as asked, as a command: python -m tests.soak --minutes 60."""
