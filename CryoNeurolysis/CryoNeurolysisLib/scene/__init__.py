"""cryoneuro objects to MRML nodes and back. No qt; the scene is always an argument."""
