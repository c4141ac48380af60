"""The version, as the installed package states it."""

from importlib.metadata import version

VERSION = version("robeval")
