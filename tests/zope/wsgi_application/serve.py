"""Serves the application of a zope.conf: `python -m wsgi_application.serve zope.conf`."""

import sys

import waitress
import zope.app.wsgi

application = zope.app.wsgi.getWSGIApplication(sys.argv[1])
server = waitress.create_server(application, host="127.0.0.1", port=0)
print(f"Serving on http://127.0.0.1:{server.effective_port}", file=sys.stderr, flush=True)
server.run()
