"""The one place that speaks to the user while work goes on: lines, notes and warnings, and the commands in them.

All goes to standard output. Nothing else below the mains prints. Progress bars are tqdm's and Keras' own. A text may
hold the name of a file that somebody else has chosen: what would steer a terminal, such as an escape character, is
spelt out.
"""

import os
import shlex
import shutil
import sys
from collections.abc import Iterable


def say(text: str) -> None:
    """Prints a line, or a table of several, at once."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"  # which may lack letters of a file's name
    text = "\n".join(printable(line) for line in text.split("\n"))
    print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def note(text: str) -> None:
    """Prints a line about something that is worth knowing and needs no action."""
    say(f"note: {text}")


def warn(text: str) -> None:
    """Prints a line about something that is probably not what the user wants."""
    say(f"warning: {text}")


def printable(text: str) -> str:
    """Returns a text with line breaks, control characters and bytes that are no text spelt out, such as \\n."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def some(names: Iterable[str], most: int = 5) -> str:
    """Returns the first of some names as a message lists them, printable; then "...", where there are more."""
    names = [printable(name) for name in names]
    return ", ".join(names[:most]) + ", ..." * (len(names) > most)


def reason(error: Exception) -> str:
    """Returns the type of an error and the first line of what it says, for a warning."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def not_installed(what: str, package: str, extra: str = "") -> ValueError:
    """Returns the error for a package that only some uses need, and that is missing.

    Args:
      what: what needs it, as the message begins.
      package: its name, as a user knows it.
      extra: of this program, which brings it along; "" where none does.
    """
    mended = f': pip install "dense-labels[{extra}]"' if extra else ""
    return ValueError(f"{what} needs {package}, which is not installed{mended}")


def python() -> str:
    """Returns the command that runs this Python, as short as it can be written, quoted for a shell."""
    return shlex.quote(_short(sys.executable))


def command(name: str, *arguments: str) -> str:
    """Returns the command of one of our programs, run as the one that asks was: by a file, or as it is installed.

    Args:
      name: "train", "eval" or "predict".
      *arguments: of the program; they are quoted for a shell.
    """
    folder, program = os.path.split(sys.argv[0])
    if program.endswith("_main.py"):
        begin = f"{python()} {shlex.quote(os.path.join(folder, f'{name}_main.py'))}"
    else:
        script = os.path.join(os.path.dirname(sys.executable), f"dense-labels-{name}")
        found = shutil.which(os.path.basename(script))
        elsewhere = os.path.isfile(script) and not (found and os.path.samefile(found, script))
        begin = shlex.quote(_short(script) if elsewhere else os.path.basename(script))
    return f"{begin} {shlex.join(arguments)}"


def _short(path: str) -> str:
    inside = os.path.relpath(path)
    return path if inside.startswith(os.pardir) else inside
