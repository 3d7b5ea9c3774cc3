"""Readers of the files that annotation tools write, one file a format.

Facts: `annotations`, the endings of the files (".tps"), and "folder"; `holds`, a function of a path that tells by the
content whether a file or folder is of this format, where others have that ending too; `lists_landmarks=False` where a
file may have the names of those landmarks alone that are placed in it; `marks_unplaced=True` where a
file can say that a landmark without a place is hidden.
"""
