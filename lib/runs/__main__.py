"""python -m lib.runs: see lib/runs/launch.py."""
import os
import signal
import sys

from lib import paths
from lib.runs import launch

signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
ended = launch.main(sys.argv[1:])
if ended and paths.processes() > 1:  # at once: another process may wait for this one for ever, and then this one for it
    sys.stdout.flush()
    os._exit(ended)
sys.exit(ended)
