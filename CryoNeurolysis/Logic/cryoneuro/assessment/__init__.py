"""Is the nerve treated, are the neighbors safe, and how sure is that."""

from .assess import assess, neighbor_band_mm

__all__ = ["assess", "neighbor_band_mm"]
