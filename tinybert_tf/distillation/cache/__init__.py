"""A cache of teachers' features on disk: folders, files, filling and reading."""
