"""``python -m weitiao.settings FOLDER`` writes the reference pages of the settings into the folder."""

import sys
from pathlib import Path

from weitiao.settings.reference import write_reference

write_reference(Path(sys.argv[1]))
