"""What is raised where data cannot be used."""

from pathlib import Path


class DataError(ValueError):
    """Data that cannot be used, or a source that cannot give it; the message is one line."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))


def as_data_error(error: Exception, path: Path) -> DataError:
    """The error of a library, in one line that names the file."""
    if isinstance(error, DataError):
        return error
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    reason = reason.splitlines()[0][:300]
    return DataError(reason if str(path) in reason else f"{path}: cannot be read ({reason})")
