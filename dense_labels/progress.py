"""The one place that speaks to the user while work goes on: lines, notes and warnings, on standard output.

Nothing else below the mains prints. Progress bars are tqdm's and Keras' own.
"""


def say(text: str) -> None:
    """Prints a line, or a table of several, at once."""
    print(text, flush=True)


def note(text: str) -> None:
    """Prints a line about something that is worth knowing and needs no action."""
    say(f"note: {text}")


def warn(text: str) -> None:
    """Prints a line about something that is probably not what the user wants."""
    say(f"warning: {text}")


def not_installed(what: str, package: str, extra: str) -> ValueError:
    """Returns the error for a package that only some uses need, and that is missing.

    Args:
      what: what needs it, as the message begins.
      package: its name, as a user knows it.
      extra: of this program, which brings it along.
    """
    return ValueError(f'{what} needs {package}, which is not installed: pip install "dense-labels[{extra}]"')
