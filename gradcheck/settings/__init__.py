"""The options of a run: each is declared once, in `declared.py`, and gets its value from one of five places.

Defaults < pyproject.toml [tool.gradcheck] < --config < variables < flags. A declaration gives the option's flag, its
key in a file, its variable, its keyword in Python, the check of its value, its default, its help and its row in
docs/options.md: `no_build` is `--no-build`, `no-build`, GRADCHECK_NO_BUILD and `no_build=`.
"""

from gradcheck.settings.declared import OPTIONS as OPTIONS
from gradcheck.settings.declared import Settings as Settings
from gradcheck.settings.places import load as load
from gradcheck.settings.places import of as of
