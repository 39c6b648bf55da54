"""The file format: a tar in zstd frames of its own for each member, with a table to find them, in parts if asked for.

Plain tools read it: `cat site.tar.zst.* | zstd -dc | tar -t`. What the frames add is that writing and reading can go on
in the middle, and that damage is the damage of one file that can be named.
"""

from freehold.serve.bundle.archive.frames import FRAME_BYTES, Frame
from freehold.serve.bundle.archive.layout import Content, Entry
from freehold.serve.bundle.archive.reading import Archive, ArchivedFile
from freehold.serve.bundle.archive.writing import ArchiveWriter

__all__ = ["FRAME_BYTES", "Archive", "ArchiveWriter", "ArchivedFile", "Content", "Entry", "Frame"]
