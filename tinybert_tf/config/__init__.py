"""Run configuration: dataclasses and strict YAML."""
