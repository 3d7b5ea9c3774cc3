"""Bulk work on Apache Beam: landmarks of any number of pictures by an exported model, and shards to train on."""

from dense_labels import progress

KINDS = ("pictures", "list", "tfrecord")  # of what is given


def check_beam(what: str) -> None:
    """Refuses a command where Apache Beam is not installed.

    Args:
      what: that needs it, for the message.

    Raises:
      ValueError: if it is not installed; it says how to.
    """
    try:
        import apache_beam  # noqa: F401  an extra
    except ImportError as error:
        raise progress.not_installed(what, "Apache Beam", "beam") from error
