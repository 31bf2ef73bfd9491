"""The layer of the functional tests."""

from zope.app.wsgi.testlayer import BrowserLayer
from zope.testbrowser.wsgi import TestBrowserLayer

import reports
import zc.async_.ftesting


class Layer(TestBrowserLayer, BrowserLayer):
    """The application with a database of its own for each test, and with a dispatcher there.

    Its configuration is ftesting.zcml. The site with its sales is made once; a test sees what it
    adds itself.
    """

    def testSetUp(self) -> None:
        """Have jobs run."""
        super().testSetUp()
        zc.async_.ftesting.setUp(self.getRootFolder())

    def testTearDown(self) -> None:
        """Stop the dispatcher before its database is closed."""
        zc.async_.ftesting.tearDown()
        super().testTearDown()


LAYER = Layer(reports, allowTearDown=True)
