"""Images in, with the checks a CT needs, and onto the working grid. LPS exists only in here."""

from .demo import demo_ct_files
from .dicom import patient_key, series_of_file
from .kept import KeptByContent, KeptForArrays
from .label_map import LabelMap
from .labels import read_label_map
from .lattice import WorkingCt, label_on_grid, on_grid, on_volume, sample, working_ct, working_geometry
from .nrrd_write import write_layers, write_sequence, write_volume
from .phantom import Phantom, make_phantom
from .read import ct_from_array, list_series, read_ct, read_ct_files
from .sitk_bridge import from_sitk, geometry_of, to_sitk

__all__ = [
    "KeptByContent",
    "KeptForArrays",
    "LabelMap",
    "Phantom",
    "WorkingCt",
    "ct_from_array",
    "demo_ct_files",
    "from_sitk",
    "geometry_of",
    "label_on_grid",
    "list_series",
    "make_phantom",
    "on_grid",
    "on_volume",
    "patient_key",
    "read_ct",
    "read_ct_files",
    "read_label_map",
    "sample",
    "series_of_file",
    "to_sitk",
    "working_ct",
    "working_geometry",
    "write_layers",
    "write_sequence",
    "write_volume",
]
