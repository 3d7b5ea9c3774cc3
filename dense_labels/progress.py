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
