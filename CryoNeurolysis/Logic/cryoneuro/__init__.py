"""CryoNeurolysis engine: from a CT to a planned, simulated and assessed cryoneurolysis.

Pure Python on numpy, scipy and SimpleITK. It never imports slicer, qt, ctk or trame, so that the same engine serves
the Slicer panel, the command line and the browser. Importing this package loads nothing heavy: each room is imported
when it is needed.
"""

__version__ = "0.1.0"
