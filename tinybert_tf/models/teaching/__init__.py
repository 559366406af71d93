"""Teachers: frozen models from which students learn."""
