"""What shows My PyPI at work, and tests it: a package index, and the processes of a site."""
