"""Packaging of kvd; the distribution is called txkvd."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "([^"]+)"$',
    (HERE / "kvd" / "__init__.py").read_text(encoding="utf-8"),
    re.MULTILINE,
)
if VERSION is None:
    raise RuntimeError("kvd/__init__.py names no version")

setup(
    name="txkvd",
    version=VERSION[1],
    description="An event-driven, etcd-compatible key-value daemon on Twisted",
    long_description=(HERE / "README.rst").read_text(encoding="utf-8"),
    long_description_content_type="text/x-rst",
    license="MIT",
    python_requires=">=3.11",
    packages=[*find_packages(include=["kvd", "kvd.*"]), "twisted.plugins"],
    package_data={"kvd": ["py.typed"]},
    install_requires=[
        "attrs>=23.2",
        "bcrypt>=4.1",
        "cryptography>=43",
        "klein>=24.8",
        "prometheus-client>=0.21",
        "pyopenssl>=24.1",
        "pyyaml>=6.0.1",
        "rich>=13.9",
        "service-identity>=24.1",
        "treq>=24.9",
        "twisted>=24.11",
        "zope.interface>=6.1",
    ],
    extras_require={
        "test": [
            "coverage[toml]>=7.6",
            "httptools>=0.6.1",
            "hypothesis>=6.112",
            "import-linter>=2.1",
            "mypy>=1.13",
            "mypy-zope>=1.0.9",
            "pytest>=8.3",
            "pytest-xdist>=3.6",
            "python-etcd>=0.4.5",
            "ruff==0.17.6",
            "sphinx>=8.1",
            "towncrier>=24.8",
            "types-pyyaml",
        ],
    },
    entry_points={
        "console_scripts": ["kvd = kvd.command:main", "kvctl = kvd.kvctl.__main__:main"]
    },
    classifiers=[
        "Framework :: Twisted",
        "License :: OSI Approved :: MIT License",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Database",
        "Topic :: System :: Distributed Computing",
    ],
    zip_safe=False,
)
