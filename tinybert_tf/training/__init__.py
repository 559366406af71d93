"""Devices and optimizer."""
