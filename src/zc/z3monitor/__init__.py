"""The monitor of `zc.monitor` in an application of Zope, and commands about its databases.

To be included by ZCML: `<include package="zc.z3monitor" />`. The monitor then starts when the
database opens, if the configuration of the process says where::

    <product-config zc.z3monitor>
      port 9991
    </product-config>

See `zc.z3monitor.configuration` for what can be said there.
"""

from zc.z3monitor.configuration import ConfigurationError
from zc.z3monitor.databases import NoDatabaseError, dbinfo, zeocache, zeostatus
from zc.z3monitor.process import monitor
from zc.z3monitor.starting import start

__all__ = [
    "ConfigurationError",
    "NoDatabaseError",
    "dbinfo",
    "monitor",
    "start",
    "zeocache",
    "zeostatus",
]
