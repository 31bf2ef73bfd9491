"""A small product of Zope: its views put jobs that need the site and the user of the request."""
