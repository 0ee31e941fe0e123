"""The errors shoal raises. Plain wrong arguments are ``ValueError``, out of memory is ``MemoryError``."""


class ShoalError(Exception):
    """Base of everything below."""


class DeviceError(ShoalError, RuntimeError):
    """A device failed or is not there."""


class DataError(ShoalError, ValueError):
    """A dataset that cannot be used: not found, truncated, of the wrong kind, or with values out of range."""


class StudyError(ShoalError, ValueError):
    """A study file, directory or journal that cannot be used."""
