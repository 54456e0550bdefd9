"""`python -m lstm_stream` is `lstm-stream`."""

import sys

from lstm_stream.cli import main

if __name__ == "__main__":
    sys.exit(main())
