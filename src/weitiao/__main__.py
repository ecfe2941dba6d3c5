"""``python -m weitiao`` is ``weitiao``."""

import sys

from weitiao.cli import main

sys.exit(main())
