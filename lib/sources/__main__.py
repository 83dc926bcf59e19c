"""python -m lib.sources: see lib/sources/prepare.py."""
import sys

from lib.sources import prepare

sys.exit(prepare.main(sys.argv[1:]))
