"""What is raised where data cannot be used."""


class DataError(ValueError):
    """Data that cannot be used, or a source that cannot give it; the message is one line."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))
