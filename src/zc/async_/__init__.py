"""Durable jobs for applications on the ZODB."""

from zc.async_.threadlocal import local

__all__ = ["local"]
