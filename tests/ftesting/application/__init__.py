"""A small application with functional tests, for zope.testrunner: see `test_testrunner`."""
