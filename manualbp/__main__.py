"""``python -m manualbp``."""

import sys

from .cli import main

sys.exit(main())
