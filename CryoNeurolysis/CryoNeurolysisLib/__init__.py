"""Everything that touches Slicer: scene (MRML), desktop (Qt), web."""
