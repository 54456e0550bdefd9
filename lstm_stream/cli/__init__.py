"""The command line: codes.py what an exit code means, verbs.py what each verb does, parsers.py what it takes.

Rule: nothing heavy is imported here at module level, so that --help answers at once.
"""

from lstm_stream.cli.codes import OK as OK
from lstm_stream.cli.program import main as main
