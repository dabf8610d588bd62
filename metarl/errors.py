"""Errors a user can act on: what was expected, what was found, what to do."""

from __future__ import annotations


class MetaRLError(Exception):
    """Base of the errors that scripts report in one line, without a traceback."""


class ConfigError(MetaRLError):
    """A setting that is unknown, ill-typed or impossible."""


class RunError(MetaRLError):
    """A run folder or checkpoint that cannot be used."""


class NonFiniteError(MetaRLError):
    """A reward, observation, gradient or parameter that is not a finite number."""
