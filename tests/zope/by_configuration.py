"""A process that a zope.conf configures: `python by_configuration.py WAY zope.conf`.

It prints what comes of a job, and waits for a signal to end; then it prints what is left.
"""

import operator
import os
import signal
import sys

import transaction
import zope.app.appsetup
import zope.app.appsetup.appsetup
import zope.app.appsetup.product
import zope.app.wsgi
import zope.component
import zope.event

import zc.async_.dispatcher
import zc.async_.interfaces
import zc.async_.testing
from zc.async_.job import Job


def by_wsgi(path):
    return zope.app.wsgi.config(path)


def by_appsetup(path):
    import zdaemon.zdoptions

    options = zdaemon.zdoptions.ZDOptions()
    options.schemadir = os.path.join(os.path.dirname(zope.app.appsetup.__file__), "schema")
    options.realize(["-C", path])
    root = options.configroot
    zope.app.appsetup.product.setProductConfigurations(root.product_config)
    for logger in root.loggers:
        logger()
    zope.app.appsetup.config(root.site_definition)
    db = zope.app.appsetup.appsetup.multi_database(root.databases)[0][0]
    zope.event.notify(zc.async_.interfaces.DatabaseOpened(db))
    return db


db = {"wsgi": by_wsgi, "appsetup": by_appsetup}[sys.argv[1]](sys.argv[2])
dispatcher = zc.async_.dispatcher.get()
zc.async_.testing.get_poll(dispatcher, 0)
connection = db.open()
queue = zc.async_.interfaces.IQueue(connection.root())
job = queue.put(Job(operator.mul, 21, 2))
transaction.commit()
print("result", zc.async_.testing.wait_for_result(job), flush=True)
try:
    while True:
        signal.sigtimedwait([], 0.1)
except KeyboardInterrupt:
    transaction.begin()
    agents = queue.dispatchers[zope.component.getUtility(zc.async_.interfaces.IUUID)]
    print("left", bool(dispatcher.activated), bool(agents.activated), flush=True)
