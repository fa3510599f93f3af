"""What the command line understands."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime

from . import __version__
from .anatomy.segment import DEFAULT_GRID_MM

EXIT_CHECK_FAILED = 20
Action = Callable[[argparse.Namespace], int]


def _numbers(text: str) -> tuple[float, float, float]:
    try:
        values = [float(v) for v in text.split(",")]
    except ValueError:
        values = []
    if len(values) != 3 or not all(math.isfinite(v) for v in values):
        raise argparse.ArgumentTypeError(f"'{text}' is no point; write R,A,S in mm, like -41.2,10,-275")
    return (values[0], values[1], values[2])


def _name_and_number(text: str, mark: str, wanted: str) -> tuple[str, float]:
    name, _, value = text.partition(mark)
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not name or not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"'{text}' {wanted}")
    return name, number


def _vertebra(text: str) -> tuple[str, float]:
    return _name_and_number(text, "@", "names no vertebra; write its name and an S within it, like L3@-120.5")


def _named_number(text: str) -> tuple[str, float]:
    return _name_and_number(text, "=", "gives no value; write a name and a number, like path.tilt=30")


def _samples(text: str) -> int:
    if text.isdigit() and (int(text) == 0 or 8 <= int(text) <= 4096):
        return int(text)
    raise argparse.ArgumentTypeError(f"'{text}' is no size of a sample; write 0 for none, or 8 to 4096")


def _clock(text: str) -> float:
    """Seconds since 1970 of a time of today."""
    try:
        at = datetime.strptime(text, "%H:%M:%S").time()
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no time of day; write hours, minutes, seconds, like 10:42:30"
        ) from None
    return datetime.combine(datetime.now(), at).timestamp()


def _seed(text: str) -> int:
    if text.isdigit():
        return int(text)
    raise argparse.ArgumentTypeError(f"'{text}' is no seed; write a whole number, 0 or more")


def _size(text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(v) for v in text.split(","))
    except ValueError:
        values = ()
    if len(values) not in (3, 4):
        raise argparse.ArgumentTypeError(f"'{text}' is no isotherm size; write C,S,MM or C,S,MM,MM, like -20,600,20,28")
    return values


def build_parser(actions: Mapping[str, Action], epilog: str) -> argparse.ArgumentParser:
    """The parser; each command calls the action of its name."""
    parser = argparse.ArgumentParser(
        prog="cryoneuro",
        description="Plan, simulate and assess CT-guided cryoneurolysis. Research software, not a medical device.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"cryoneuro {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(action=actions[name])
        # Otherwise every point on the patient's left, which begins with a minus, is taken for an option.
        sub._negative_number_matcher = re.compile(r"^-\.?\d[\d.,eE+-]*$")
        sub.add_argument("--json", action="store_true", help="print JSON for machines on stdout, nothing else")
        return sub

    def source(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("ct", help="DICOM folder, NRRD, MHA or NIfTI file, or the word phantom")
        sub.add_argument("--series", metavar="UID", help="which DICOM series, by the start of its UID")

    def labels(sub: argparse.ArgumentParser) -> None:
        sub.add_argument(
            "--labels",
            metavar="FILE",
            help="label map, .seg.nrrd, DICOM SEG or RTSTRUCT, on any grid",
        )
        sub.add_argument("--names", metavar="FILE", help="names of the labels, JSON or CSV")
        sub.add_argument(
            "--vertebra",
            type=_vertebra,
            metavar="NAME@S",
            help="number the vertebrae from one of them, by a height within its body: L3@-120.5 (S in mm)",
        )
        sub.add_argument("--grid-mm", type=float, default=DEFAULT_GRID_MM, help="anatomy grid (default %(default)s)")

    def aim(sub: argparse.ArgumentParser, required: bool) -> None:
        sub.add_argument("--target", required=required, help="nerve target; cryoneuro list nerves")
        sub.add_argument("--side", choices=("left", "right"), default="left")
        sub.add_argument(
            "--level", type=int, help="number of the rib, or of the lumbar vertebra, where labels number them"
        )
        sub.add_argument("--points", nargs="+", type=_numbers, metavar="R,A,S", help="course of the nerve, RAS mm")
        sub.add_argument(
            "--accept-course", action="store_true", help="you have looked at the proposed course and agree"
        )
        sub.add_argument(
            "--through",
            nargs="+",
            type=_numbers,
            default=[],
            metavar="R,A,S",
            help="places that the course runs through: it is bent there and counts as confirmed by you",
        )
        sub.add_argument("--follow", action="store_true", help="between these points follow fat, not straight lines")
        sub.add_argument("--probe", help="probe; cryoneuro list probes")
        sub.add_argument(
            "--not-in-field",
            nargs="+",
            default=[],
            metavar="GROUP",
            help="structures that you say are not in the field",
        )
        sub.add_argument(
            "--limit",
            nargs="+",
            type=_named_number,
            default=[],
            metavar="ID=STOP",
            help="a limit for this case only, recorded in the plan: path.tilt=30 clearance.bowel=5",
        )

    def target(sub: argparse.ArgumentParser, required: bool) -> None:
        aim(sub, required)
        sub.add_argument("--entry", type=_numbers, metavar="R,A,S", help="skin entry of a path of your own, RAS mm")
        sub.add_argument("--tip", type=_numbers, metavar="R,A,S", help="tip of a path of your own, RAS mm")
        sub.add_argument(
            "--weight",
            nargs="+",
            type=_named_number,
            default=[],
            metavar="NAME=WEIGHT",
            help="how much a criterion counts: clearance, length, obliquity, tilt, nerve_angle, centering, tissue; "
            "among the finalists also untreated, cold_neighbor",
        )
        sub.add_argument("--protocol", help="protocol, like 3-1-3; cryoneuro list protocols")
        sub.add_argument(
            "--probes", type=int, choices=(1, 2, 3, 4), help="how many; by default as few as treat the nerve"
        )

    def thermal(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--thermal-grid-mm", type=float, default=1.0, help="thermal grid (default %(default)s)")
        sub.add_argument(
            "--samples",
            type=_samples,
            default=64,
            help="runs of what is uncertain, for bands and chances; 0 for none (default %(default)s)",
        )
        sub.add_argument("--seed", type=_seed, default=0, help="where that sample is drawn from (default %(default)s)")

    def pictures(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--no-pictures", action="store_true", help="no rendering, no scene file")
        sub.add_argument("--check", action="store_true", help=f"exit {EXIT_CHECK_FAILED} unless treated and safe")

    sub = command("demo", "Run the whole line on a public CT, a CT of yours, or a synthetic phantom.")
    sub.add_argument("--phantom", action="store_true", help="synthetic body, no download")
    sub.add_argument("--ct", help="a CT of yours instead of the public one")
    labels(sub)
    sub.add_argument("--series", metavar="UID", help="which DICOM series, by the start of its UID")
    target(sub, required=False)
    thermal(sub)
    pictures(sub)
    sub.add_argument("--output", default="demo-results", help="folder for the results (default %(default)s)")

    sub = command("info", "Say what a CT is, or why it cannot be used.")
    source(sub)

    sub = command("segment", "Segment a CT into a new case folder.")
    source(sub)
    labels(sub)
    sub.add_argument("--output", required=True, help="case folder to make")

    sub = command("plan", "Plan the path to a nerve in a case folder.")
    sub.add_argument("case", help="case folder")
    target(sub, required=True)

    sub = command("why", "Say why no path to the nerve enters at a place on the skin, and what would have to change.")
    sub.add_argument("case", help="case folder")
    aim(sub, required=True)
    sub.add_argument("--entry", type=_numbers, required=True, metavar="R,A,S", help="the place on the skin, RAS mm")
    sub.set_defaults(tip=None, protocol=None, probes=None, weight=[])

    sub = command("compare", "Show the best paths side by side, with what their ice does in a preview.")
    sub.add_argument("case", help="case folder")
    target(sub, required=True)
    sub.add_argument(
        "--count", type=int, choices=range(2, 13), default=3, metavar="N", help="2 to 12 (default %(default)s)"
    )

    sub = command(
        "block", "Say where the needle of a diagnostic block goes: on the planned path, or on a path of its own."
    )
    sub.add_argument("case", help="case folder")
    sub.add_argument("--needle", default="chiba_22g_150", help="cryoneuro list needles (default %(default)s)")
    sub.add_argument("--own-path", action="store_true", help="the best path for the needle instead of the probe's")

    sub = command("grow", "Grow a structure of a case folder from clicks inside and outside of it.")
    sub.add_argument("case", help="case folder")
    sub.add_argument("--name", required=True, help="name of the structure, like kidney_left")
    sub.add_argument("--group", required=True, help="what kind it is, like kidney")
    for word in ("inside", "outside"):
        sub.add_argument(f"--{word}", nargs="+", type=_numbers, required=True, metavar="R,A,S", help="clicks, RAS mm")

    sub = command("confirm", "Say that you have looked at the nerve's course or at structures of a case, and agree.")
    sub.add_argument("case", help="case folder")
    sub.add_argument("structures", nargs="*", metavar="STRUCTURE", help="names of structures")
    sub.add_argument("--course", action="store_true", help="the nerve's course")

    sub = command("simulate", "Simulate and assess the plan of a case folder.")
    sub.add_argument("case", help="case folder")
    thermal(sub)

    sub = command("run", "From a CT to the report in one go.")
    source(sub)
    labels(sub)
    target(sub, required=True)
    thermal(sub)
    pictures(sub)
    sub.add_argument("--output", required=True, help="case folder to make")

    sub = command("report", "Draw the pictures and write the report of a case folder.")
    sub.add_argument("case", help="case folder")
    pictures(sub)

    sub = command(
        "live", "Follow the procedure: lay each scan that comes in under the plan, find the probes and the ice."
    )
    sub.add_argument("case", help="case folder with a plan")
    sub.add_argument("--listen", nargs="?", type=int, const=11112, metavar="PORT", help="take DICOM at a port (11112)")
    sub.add_argument("--host", default="127.0.0.1", help="address to listen at (default: this machine only)")
    sub.add_argument("--ae-title", default="CRYONEURO", help="of this receiver (default %(default)s)")
    sub.add_argument(
        "--calling", nargs="+", default=[], metavar="TITLE", help="AE titles that may send; others may not"
    )
    sub.add_argument(
        "--address", nargs="+", default=[], metavar="IP", help="addresses that may connect; others may not"
    )
    sub.add_argument(
        "--tls", nargs="+", metavar="FILE", help="certificate, key and, if senders must show one, authority (PEM)"
    )
    sub.add_argument("--received", metavar="FOLDER", help="where received images are kept (default CASE-received)")
    sub.add_argument("--watch", metavar="FOLDER", help="read the series that a console exports into a folder")
    sub.add_argument("--old", action="store_true", help="of a watched folder also what lies there already")
    sub.add_argument("--igtl", metavar="HOST:PORT", help="take images and poses from an OpenIGTLink server")
    sub.add_argument(
        "--same",
        nargs="+",
        default=[],
        choices=("patient", "study", "frame", "position"),
        help="you have checked that these are the same in the first scan, where the files do not say; recorded",
    )
    sub.add_argument(
        "--frozen-since", type=_clock, metavar="HH:MM:SS", help="the freeze began then (or type freeze when it begins)"
    )
    sub.add_argument("--count", type=int, default=0, help="stop after so many scans")
    sub.add_argument("--seconds", type=float, default=0.0, help="stop after so long")
    sub.add_argument("--no-pictures", action="store_true", help="no rendering")

    sub = command("virtual-scan", "Make a scan of a planned case as the CT room would, to practise with.")
    sub.add_argument("case", help="case folder with a plan")
    sub.add_argument("--output", required=True, metavar="FOLDER", help="for its DICOM files")
    sub.add_argument("--frozen-s", type=float, default=0.0, help="how long the freeze has gone on (default: not begun)")
    sub.add_argument("--off-mm", type=float, default=3.0, help="how far the probes lie off (default %(default)s)")
    sub.add_argument("--moved-mm", type=float, default=8.0, help="how far the patient has moved (default %(default)s)")
    sub.add_argument("--turned-deg", type=float, default=3.0, help="and turned (default %(default)s)")
    sub.add_argument("--slice-mm", type=float, default=5.0, help="slice thickness (default %(default)s)")
    sub.add_argument("--slices", type=int, default=20, help="how many (default %(default)s)")
    sub.add_argument("--no-probe", action="store_true", help="before any probe was placed")
    sub.add_argument("--patient", type=_seed, default=0, help="number of the course; scans of one belong together")
    sub.add_argument("--seed", type=_seed, default=0, help="of the noise")

    sub = command("fit-probe", "Find the cooling of a probe that reproduces isotherm sizes in gel.")
    sub.add_argument("probe", help="probe to start from; cryoneuro list probes")
    sub.add_argument(
        "--size",
        nargs="+",
        required=True,
        type=_size,
        metavar="C,S,MM[,MM]",
        help="isotherm in C, time in s, width and, if known, length in mm: 0,600,32,37",
    )
    sub.add_argument("--gel-c", type=float, help="temperature of the gel (default 37)")

    sub = command("list", "List what the program knows.")
    sub.add_argument("what", choices=("nerves", "probes", "protocols", "needles"))
    return parser
