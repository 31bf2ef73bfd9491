"""A small application of zope.app.wsgi: its pages put jobs that need the site and the user."""
