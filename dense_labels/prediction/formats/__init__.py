"""Formats that predictions are written in, one file each: a function of `Predictions` that returns what is written.

That is the bytes of a file; or, of what is large or is several files, a function of a path, where nothing is yet, that
makes the file or the folder there. It appears in the output once it is whole. The fact `file` is its name there;
`needs_video=True` says that it is of videos alone, `reads_pictures=True` that it reads the pictures again,
and that what lies under its name is no picture to predict; `needs` are
the modules that the format needs and the core does not bring; `reader` is the name of the reader that reads it, where
that is not called as the format is; `one_row=True` says that it is read with one row a picture, not with one for each
object; `whole_paths=True` that it says in which folder the pictures lie. `check` refuses what the format cannot say,
also of predictions whose points are no numbers yet, for it is asked before the work as well: by their names, their
landmarks and the number of their rows.
"""
