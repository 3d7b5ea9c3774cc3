"""Measurements that back the figures of the README, each one command."""
