"""`freehold scan`: which closed models a code base depends on, where, and what would have to change.

`tree` lists the files, `readers` choose how each is read, `program` brings source code into one form, `detect` finds
what it depends on by what `knowledge` knows, `conclude` says what follows, and `report` shows it.
"""
