"""A file system of Beam's in memory, as a bucket is: store://NAME. It renames nothing to a name that is taken."""

import io

from apache_beam.io.filesystem import BeamIOError, FileMetadata, FileSystem

CONTENTS: dict[str, bytes] = {}  # of each path


class _New(io.BytesIO):
    """A file that is there once it is closed."""

    def __init__(self, path):
        super().__init__()
        self._path = path

    def close(self):
        if not self.closed:
            CONTENTS[self._path] = self.getvalue()
        super().close()


class Store(FileSystem):
    """The file system; Beam finds it by its scheme."""

    @classmethod
    def scheme(cls):
        return "store"

    def join(self, basepath, *paths):
        return "/".join([basepath, *paths])

    def split(self, path):
        folder, _, name = path.rpartition("/")
        return folder, name

    def mkdirs(self, path):
        raise NotImplementedError

    def has_dirs(self):
        return False

    def _list(self, dir_or_prefix):
        return [self.metadata(path) for path in sorted(CONTENTS) if path.startswith(dir_or_prefix)]

    def create(self, path, mime_type="", compression_type=""):
        return _New(path)

    def open(self, path, mime_type="", compression_type=""):
        return io.BytesIO(CONTENTS[path])

    def copy(self, source_file_names, destination_file_names):
        raise NotImplementedError

    def rename(self, source_file_names, destination_file_names):
        for source, destination in zip(source_file_names, destination_file_names):
            if destination in CONTENTS:
                raise BeamIOError(f"Unable to rename {source} to {destination}.")
            CONTENTS[destination] = CONTENTS.pop(source)

    def exists(self, path):
        return path in CONTENTS

    def size(self, path):
        return len(CONTENTS[path])

    def last_updated(self, path):
        return 0.0

    def checksum(self, path):
        raise NotImplementedError

    def metadata(self, path):
        return FileMetadata(path, self.size(path), self.last_updated(path))

    def delete(self, paths):
        for path in paths:
            CONTENTS.pop(path, None)
