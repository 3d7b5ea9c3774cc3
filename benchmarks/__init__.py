"""Measurements that back the figures of the documentation, each one command."""
