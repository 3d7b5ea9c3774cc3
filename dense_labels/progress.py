"""The one place that speaks to the user while work goes on: lines, notes and warnings, on standard output.

Nothing else below the mains prints. Progress bars are tqdm's and Keras' own. A text may hold the name of a file that
somebody else has chosen: what would steer a terminal, such as an escape character, is spelt out.
"""


def say(text: str) -> None:
    """Prints a line, or a table of several, at once."""
    print("\n".join(printable(line) for line in text.split("\n")), flush=True)


def note(text: str) -> None:
    """Prints a line about something that is worth knowing and needs no action."""
    say(f"note: {text}")


def warn(text: str) -> None:
    """Prints a line about something that is probably not what the user wants."""
    say(f"warning: {text}")


def printable(text: str) -> str:
    """Returns a text with line breaks, control characters and bytes that are no text spelt out, such as \\n."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def not_installed(what: str, package: str, extra: str) -> ValueError:
    """Returns the error for a package that only some uses need, and that is missing.

    Args:
      what: what needs it, as the message begins.
      package: its name, as a user knows it.
      extra: of this program, which brings it along.
    """
    return ValueError(f'{what} needs {package}, which is not installed: pip install "dense-labels[{extra}]"')
