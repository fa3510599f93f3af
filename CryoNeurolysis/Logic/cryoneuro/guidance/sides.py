"""Sides of the patient in words."""

SIDES = (("patient's right", "patient's left"), ("front", "back"), ("head", "feet"))
"""Toward plus and toward minus along R, A, S."""
