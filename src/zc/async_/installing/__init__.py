"""Event handlers that install queues, a dispatcher and agents when a database opens.

Their public names are those of `zc.async_.subscribers`.
"""
