#!/bin/sh
# Makes demo.svg: the demo's live table as a terminal shows it. Needs tmux and the demo extra.
set -eu
cd "$(dirname "$0")"
screen=$(mktemp)
tmux -f /dev/null new-session -d -s picture -x 100 -y 34 "lstm-stream demo; sleep 60"
sleep 55
tmux capture-pane -t picture -e -p >"$screen"
tmux kill-session -t picture
python3 - "$screen" <<'EOF'
import io, re, sys
from pathlib import Path
from rich.console import Console
from rich.text import Text

console = Console(record=True, width=100, file=io.StringIO())
console.print(Text.from_ansi(Path(sys.argv[1]).read_text().rstrip()))
svg = console.export_svg(title="lstm-stream demo")
Path("demo.svg").write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL))  # no foreign host
EOF
rm "$screen"
