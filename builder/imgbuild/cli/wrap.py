"""Text at the width of a terminal, broken between words only: a path or an option can be copied from it."""

from __future__ import annotations

import textwrap
from functools import partial

wrap = partial(textwrap.wrap, break_long_words=False, break_on_hyphens=False)
