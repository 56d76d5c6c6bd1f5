"""Membership as a state machine."""
