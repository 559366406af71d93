"""A teacher's features on disk: what names them, the files, how they are filled and read."""
