"""Numbers rounded to small integers while a model trains."""
