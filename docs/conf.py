"""Sphinx configuration."""

import re
from pathlib import Path

HERE = Path(__file__).parent

project = "kvd"
copyright = "the authors of kvd"
author = "the authors of kvd"
version = release = re.search(
    r'__version__ = "([^"]+)"', (HERE.parent / "kvd" / "__init__.py").read_text()
)[1]

exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "etcd v2 on Twisted", "page_width": "1000px"}
