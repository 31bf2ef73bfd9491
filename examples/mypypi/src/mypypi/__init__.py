"""My PyPI: follow packages of a package index, and search pages about them."""
