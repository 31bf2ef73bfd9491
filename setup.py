"""For tools that still look for this file, zc.buildout among them; pyproject.toml says it all."""

from setuptools import setup

setup()
