"""An instance: `python -m mypypi.serve zope.conf --port 8080`."""

import argparse
import sys

import grokcore.startup
import waitress


def main() -> None:
    """Serve until a signal ends the process."""
    parser = argparse.ArgumentParser(description="Serve My PyPI, and run its jobs.")
    parser.add_argument("conf", help="the configuration file of zope.app.wsgi")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080, help="0: one that is free")
    arguments = parser.parse_args()
    application = grokcore.startup.application_factory({}, zope_conf=arguments.conf)
    server = waitress.create_server(
        application,
        host=arguments.host,
        port=arguments.port,
        # Forms are short, and nothing is uploaded.
        max_request_body_size=100_000,
        ident="mypypi",
    )
    print(
        f"Serving on http://{arguments.host}:{server.effective_port}", file=sys.stderr, flush=True
    )
    server.run()


if __name__ == "__main__":
    main()
