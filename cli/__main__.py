"""``python -m cli`` is ``tether``."""

import sys

from tether_entry import tether

sys.exit(tether())
