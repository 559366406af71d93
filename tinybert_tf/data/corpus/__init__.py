"""Raw text for pretraining: files, token arrays, segments, masked batches."""
