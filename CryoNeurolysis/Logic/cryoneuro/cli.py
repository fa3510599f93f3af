"""The command line: one command for every step of a case; `cryoneuro --help` lists them.

Exit codes: 0 done, 2 wrong usage, 3 image, 4 knowledge (unknown nerve, probe, protocol), 5 anatomy, 6 planning,
7 simulation, 8 assessment, 9 case folder, 10 live guidance, 20 --check and the verdict is not "treated and safe", 130 stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from importlib import metadata
from pathlib import Path
from queue import Queue
from typing import Any

from .anatomy import segment
from .cli_parser import EXIT_CHECK_FAILED, Action, build_parser
from .console import Reporter, block_numbers, block_words, finalist_numbers, finalist_table, summary
from .guidance import DicomReceiver, FolderSource, FrameSource, IgtlSource, ReceiverSettings
from .imaging import LabelMap, demo_ct_files, list_series, make_phantom, read_ct, read_label_map
from .knowledge import demo_source, needle, needles, nerve, nerves, probe, probes, protocol, protocols
from .knowledge.catalog import probe_total_mm
from .live import LiveOptions, LiveSession, listen_to_keys, run_live
from .model import Case, CryoNeuroError, CtVolume, GuidanceError, KnowledgeError, Verdict, never_cancelled
from .pipeline import (
    Request,
    block_step,
    compare_step,
    confirm_step,
    grow_step,
    new_case,
    plan_step,
    points_of,
    simulate_step,
    why_step,
)
from .report import Picture, build_report, report_numbers, write_report
from .session import check_target, event, load_case, save_case
from .thermal import IsothermSize, fit_probe
from .training import ScanSettings, room_truth, virtual_room_scan, write_dicom_series

DEMO_TARGETS = ("celiac_plexus", "intercostal")
RENDERERS = "cryoneuro.renderers"
"""Entry points that draw a case: render(case, folder, progress) -> sequence of (png path, caption)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = build_parser(_ACTIONS, __doc__.split("\n\n", 1)[1])
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.action(arguments))
    except CryoNeuroError as error:
        return _fail(arguments, str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail(arguments, "Stopped.", 130)
    except MemoryError:
        return _fail(arguments, "There is not enough memory; use a coarser grid (--grid-mm 2).", 1)
    except BrokenPipeError:
        return 0


def _fail(arguments: argparse.Namespace, sentence: str, code: int) -> int:
    if getattr(arguments, "json", False):
        print(json.dumps({"error": sentence, "exit_code": code}))
    print(f"cryoneuro: {sentence}", file=sys.stderr)
    return code


def _read(arguments: argparse.Namespace, reporter: Reporter) -> CtVolume:
    if arguments.ct == "phantom":
        return make_phantom().ct
    return read_ct(arguments.ct, arguments.series, reporter.stage("read CT"))


def _labels(arguments: argparse.Namespace, ct: CtVolume) -> LabelMap | None:
    return read_label_map(arguments.labels, arguments.names, ct.geometry) if arguments.labels else None


def _request(arguments: argparse.Namespace, name: str) -> Request:
    return Request(
        target=name,
        side=arguments.side,
        level=arguments.level,
        points_ras_mm=points_of(arguments.points) if arguments.points else None,
        follow=getattr(arguments, "follow", False),
        accepted=arguments.accept_course,
        through_ras_mm=tuple(arguments.through),
        entry_ras_mm=arguments.entry,
        tip_ras_mm=arguments.tip,
        probe=arguments.probe,
        protocol=arguments.protocol,
        probe_count=arguments.probes or 0,
        cleared=tuple(arguments.not_in_field),
        limits=tuple(arguments.limit),
        weights=tuple(arguments.weight),
        thermal_grid_mm=getattr(arguments, "thermal_grid_mm", 1.0),
        samples=getattr(arguments, "samples", 0),
        seed=getattr(arguments, "seed", 0),
    )


def _renderer() -> Callable[..., Sequence[tuple[Path, str]]] | None:
    for entry in metadata.entry_points(group=RENDERERS):
        try:
            return entry.load()  # type: ignore[no-any-return]
        except ImportError:
            continue
    return None


def _draw(case: Case, folder: Path, reporter: Reporter, wanted: bool) -> tuple[tuple[Picture, ...], tuple[str, ...]]:
    """Pictures of a case and a note when there are none."""
    if not wanted:
        return (), ()
    render = _renderer()
    if render is None:
        return (), ("Pictures were not drawn, because no renderer is installed (pip install 'cryoneuro[scene]').",)
    try:
        drawn = render(case, folder, reporter.stage("pictures"))
    except (RuntimeError, OSError) as error:
        return (), (
            f"Pictures could not be drawn ({error}); offscreen rendering needs the packages libegl1 and libgl1.",
        )
    return tuple(Picture(Path(path), caption) for path, caption in drawn), ()


def _finish(
    case: Case, folder: Path, reporter: Reporter, seconds: dict[str, float], wanted: bool, credit_lines: tuple[str, ...]
) -> None:
    """Save the case, draw it, write its report."""
    start = time.perf_counter()
    reporter.stage("save")(0.0, "Writing the case")
    kinds = [k for k in ("anatomy", "plan", "thermal", "assessment") if getattr(case, k) is not None]
    save_case(case, folder, (event("run", f"Made {', '.join(kinds)}"),))
    seconds["save"] = seconds.get("save", 0.0) + time.perf_counter() - start
    start = time.perf_counter()
    drawn, notes = _draw(case, folder, reporter, wanted)
    seconds["pictures"] = seconds.get("pictures", 0.0) + time.perf_counter() - start
    start = time.perf_counter()
    write_report(build_report(case, drawn, (*credit_lines, *notes)), folder / "report")
    seconds["report"] = seconds.get("report", 0.0) + time.perf_counter() - start
    for note in notes:
        print(f"cryoneuro: {note}", file=sys.stderr)


def _whole(
    arguments: argparse.Namespace,
    ct: Callable[[Reporter], tuple[CtVolume, LabelMap | None]],
    targets: Sequence[tuple[str, Path]],
    credit_lines: tuple[str, ...] = (),
) -> int:
    reporter = Reporter(quiet=arguments.json)
    requests = [_request(arguments, name) for name, _ in targets]
    for request in requests:
        _known(request)
    for _, folder in targets:
        check_target(folder)
    failures: list[tuple[str, CryoNeuroError]] = []
    results: list[dict[str, Any]] = []
    seconds: dict[str, float] = {}
    with reporter.running():
        start = time.perf_counter()
        volume, labels = ct(reporter)
        seconds["read"] = time.perf_counter() - start
        start = time.perf_counter()
        base = replace(
            new_case(volume),
            anatomy=segment(
                volume, labels, arguments.grid_mm, reporter.stage("segment"), never_cancelled, arguments.vertebra
            ),
        )
        seconds["segment"] = time.perf_counter() - start
        cases: list[tuple[Case, Path, dict[str, float]]] = []
        for request, (name, folder) in zip(requests, targets, strict=True):
            own: dict[str, float] = {}
            try:
                start = time.perf_counter()
                case = plan_step(base, request, reporter.stage(f"plan {name}"))
                own["plan"] = time.perf_counter() - start
                start = time.perf_counter()
                case = simulate_step(
                    case,
                    request.thermal_grid_mm,
                    reporter.stage(f"freeze {name}"),
                    samples=request.samples,
                    seed=request.seed,
                )
                own["freeze and assess"] = time.perf_counter() - start
                _finish(case, folder, reporter, own, not arguments.no_pictures, credit_lines)
            except CryoNeuroError as error:
                if len(targets) == 1:
                    raise
                failures.append((name, error))
                continue
            cases.append((case, folder, own))
    for case, folder, own in cases:
        results.append(report_numbers(case) | {"folder": str(folder), "seconds": seconds | own})
    failed = [{"target": name, "error": str(what), "exit_code": what.exit_code} for name, what in failures]
    if arguments.json:
        print(json.dumps({"cases": results, "failed": failed}, indent=1))
    else:
        for case, folder, own in cases:
            print()
            scene = ", scene.mrb" if (folder / "scene.mrb").is_file() else ""
            print(summary(case, seconds | own, f"{folder} (report/report.html{scene})"))
        for text in (*base.ct.warnings, *(base.anatomy.notes if base.anatomy else ()), *credit_lines):
            print(f"Note       {text}")
    for name, what in failures:
        print(f"cryoneuro: {name}: {what}", file=sys.stderr)
    if failures:
        return failures[0][1].exit_code
    return _checked(arguments, [case for case, _, _ in cases])


def _known(request: Request) -> None:
    """Refuse unknown names before any long work."""
    nerve(request.target)
    if request.probe:
        probe(request.probe)
    if request.protocol:
        protocol(request.protocol)
    groups = {n.structure for record in nerves() for n in record.neighbors}
    for group in request.cleared:
        if group not in groups:
            raise KnowledgeError(f"No structure group is called '{group}'; there are {', '.join(sorted(groups))}.")


def _checked(arguments: argparse.Namespace, cases: Sequence[Case]) -> int:
    good = all(c.assessment is not None and c.assessment.verdict is Verdict.TREATED_AND_SAFE for c in cases)
    return EXIT_CHECK_FAILED if arguments.check and not good else 0


def _demo(arguments: argparse.Namespace) -> int:
    if arguments.phantom and arguments.ct:
        raise KnowledgeError("Choose either --phantom or --ct, not both.")
    # A folder for each CT, so that one demo does not meet the case of another.
    source_name = "phantom" if arguments.phantom else "public-ct"
    if arguments.ct:
        path = Path(arguments.ct).expanduser().resolve()
        source_name = f"{path.name.split('.')[0] or 'ct'}-{hashlib.sha256(str(path).encode()).hexdigest()[:6]}"
    output = Path(arguments.output) / source_name
    names = (arguments.target,) if arguments.target else DEMO_TARGETS
    targets = [(name, output / name) for name in names]

    def source(reporter: Reporter) -> tuple[CtVolume, LabelMap | None]:
        if arguments.phantom:
            phantom = make_phantom()
            return phantom.ct, LabelMap(phantom.labels_kji, phantom.ct.geometry, phantom.names, "the phantom's truth")
        if arguments.ct:
            ct = read_ct(arguments.ct, arguments.series, reporter.stage("read CT"))
            return ct, _labels(arguments, ct)
        reporter.stage("demo CT")(0.0, "Download, the first time only")
        image, labels = demo_ct_files()
        return read_ct(image, progress=reporter.stage("read CT")), read_label_map(labels)

    credit_lines = () if arguments.phantom or arguments.ct else (demo_source().citation,)
    return _whole(arguments, source, targets, credit_lines)


def _run(arguments: argparse.Namespace) -> int:
    def source(reporter: Reporter) -> tuple[CtVolume, LabelMap | None]:
        ct = _read(arguments, reporter)
        return ct, _labels(arguments, ct)

    return _whole(arguments, source, [(arguments.target, Path(arguments.output))])


def _info(arguments: argparse.Namespace) -> int:
    reporter = Reporter(quiet=True)
    ct = _read(arguments, reporter)
    geometry, acquisition = ct.geometry, ct.acquisition
    facts = {
        "name": ct.name,
        "voxels_ijk": list(geometry.shape_kji[::-1]),
        "spacing_mm": [round(s, 4) for s in geometry.spacing_mm],
        "center_ras_mm": [round(float(v), 2) for v in geometry.center_ras_mm],
        "axes": "along R, A, S" if _is_straight(ct) else "oblique",
        "hu_range": [int(ct.array_kji.min()), int(ct.array_kji.max())],
        "modality": acquisition.modality,
        "patient_position": acquisition.patient_position,
        "gantry_tilt_deg": acquisition.gantry_tilt_deg,
        "slice_thickness_mm": acquisition.slice_thickness_mm,
        "acquired": acquisition.acquired,
        "series_uid": acquisition.series_uid,
        "warnings": list(ct.warnings),
    }
    if Path(arguments.ct).is_dir():
        facts["series_in_folder"] = list_series(arguments.ct)
    if arguments.json:
        print(json.dumps(facts, indent=1))
    else:
        for key, value in facts.items():
            if value not in ("", None, []):
                print(f"{key.replace('_', ' '):20} {value}")
    return 0


def _is_straight(ct: CtVolume) -> bool:
    axes = abs(ct.geometry.ijk_to_ras[:3, :3]) / ct.geometry.spacing_mm
    return bool((axes.max(axis=0) > 0.9999).all())


def _say(
    arguments: argparse.Namespace, case: Case, folder: str, seconds: dict[str, float], data: dict[str, Any]
) -> int:
    if arguments.json:
        print(json.dumps(data | {"folder": folder, "seconds": seconds}, indent=1))
    else:
        print(summary(case, seconds, folder))
    return 0


def _segment(arguments: argparse.Namespace) -> int:
    reporter = Reporter(quiet=arguments.json)
    check_target(Path(arguments.output))
    with reporter.running():
        ct = _read(arguments, reporter)
        labels = _labels(arguments, ct)
        start = time.perf_counter()
        anatomy = segment(ct, labels, arguments.grid_mm, reporter.stage("segment"), level=arguments.vertebra)
        seconds = {"segment": time.perf_counter() - start}
    case = replace(new_case(ct), anatomy=anatomy)
    save_case(case, arguments.output, (event("segmented", f"{len(anatomy.structures)} structures"),))
    volumes = {
        s.name: round(float(s.mask_kji.sum()) * anatomy.geometry.voxel_volume_mm3 / 1000.0, 2)
        for s in anatomy.structures
    }
    if not arguments.json:
        for structure in anatomy.structures:
            print(
                f"{structure.name:32} {volumes[structure.name]:10.1f} mL  {structure.method} ({structure.confidence})"
            )
        for note in anatomy.notes:
            print(f"Note       {note}")
    return _say(arguments, case, arguments.output, seconds, {"volumes_ml": volumes, "notes": list(anatomy.notes)})


def _plan(arguments: argparse.Namespace) -> int:
    reporter = Reporter(quiet=arguments.json)
    request = _request(arguments, arguments.target)
    _known(request)
    case, _ = load_case(arguments.case)
    with reporter.running():
        start = time.perf_counter()
        case = plan_step(case, request, reporter.stage("plan"))
        seconds = {"plan": time.perf_counter() - start}
    assert case.plan is not None
    save_case(case, arguments.case, (event("planned", f"{case.plan.nerve.name}, {len(case.plan.probes)} probe(s)"),))
    data = {
        "nerve": case.plan.nerve.name,
        "paths": [
            {"entry_ras_mm": p.trajectory.entry_ras_mm.tolist(), "tip_ras_mm": p.trajectory.tip_ras_mm.tolist()}
            for p in case.plan.probes
        ],
        "is_clear": case.plan.is_clear,
        "unknown": list(case.plan.unknown),
        "explanation": list(case.plan.explanation),
    }
    return _say(arguments, case, arguments.case, seconds, data)


def _why(arguments: argparse.Namespace) -> int:
    reporter = Reporter(quiet=arguments.json)
    request = _request(arguments, arguments.target)
    _known(request)
    case, _ = load_case(arguments.case)
    with reporter.running():
        start = time.perf_counter()
        text = why_step(case, request, arguments.entry, reporter.stage("plan"))
        seconds = {"why": time.perf_counter() - start}
    if arguments.json:
        data = {"entry_ras_mm": list(arguments.entry), "why": text, "folder": arguments.case, "seconds": seconds}
        print(json.dumps(data, indent=1))
    else:
        print(text)
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    reporter = Reporter(quiet=arguments.json)
    request = _request(arguments, arguments.target)
    _known(request)
    case, _ = load_case(arguments.case)
    with reporter.running():
        start = time.perf_counter()
        found = compare_step(case, request, arguments.count, reporter.stage("compare"))
        rows = [finalist_numbers(f, case.ct, request.seed) for f in found]
        seconds = {"compare": time.perf_counter() - start}
    if arguments.json:
        print(json.dumps({"finalists": rows, "folder": arguments.case, "seconds": seconds}, indent=1))
    else:
        print(finalist_table(found, rows))
    return 0


def _block(arguments: argparse.Namespace) -> int:
    tool = needle(arguments.needle)
    case, _ = load_case(arguments.case)
    path = block_step(case, tool, arguments.own_path)
    assert case.plan is not None
    if arguments.json:
        print(json.dumps(block_numbers(path, case.ct), indent=1))
    else:
        print(block_words(path, case.ct, nerve(case.plan.nerve.target_id)))
    return 0


def _grow(arguments: argparse.Namespace) -> int:
    case, _ = load_case(arguments.case)
    start = time.perf_counter()
    case = grow_step(case, arguments.name, arguments.group, arguments.inside, arguments.outside)
    seconds = {"grow": time.perf_counter() - start}
    assert case.anatomy is not None
    structure = case.anatomy.structure(arguments.name)
    volume_ml = round(float(structure.mask_kji.sum()) * case.anatomy.geometry.voxel_volume_mm3 / 1000.0, 2)
    save_case(case, arguments.case, (event("grown", f"{structure.name}, {structure.method}"),))
    if not arguments.json:
        print(f"{structure.name:32} {volume_ml:10.1f} mL  {structure.method}; look at it, then plan anew")
    return _say(arguments, case, arguments.case, seconds, {"name": structure.name, "volume_ml": volume_ml})


def _confirm(arguments: argparse.Namespace) -> int:
    case, _ = load_case(arguments.case)
    case = confirm_step(case, tuple(arguments.structures), arguments.course)
    what = [*arguments.structures, *(["the nerve's course"] if arguments.course else [])]
    save_case(case, arguments.case, (event("confirmed", ", ".join(what)),))
    return _say(arguments, case, arguments.case, {}, {"confirmed": what})


def _simulate(arguments: argparse.Namespace) -> int:
    reporter = Reporter(quiet=arguments.json)
    case, _ = load_case(arguments.case)
    with reporter.running():
        start = time.perf_counter()
        case = simulate_step(
            case, arguments.thermal_grid_mm, reporter.stage("freeze"), samples=arguments.samples, seed=arguments.seed
        )
        seconds = {"freeze and assess": time.perf_counter() - start}
    assert case.assessment is not None
    save_case(case, arguments.case, (event("simulated", case.assessment.verdict.value),))
    return _say(arguments, case, arguments.case, seconds, report_numbers(case))


def _report(arguments: argparse.Namespace) -> int:
    reporter = Reporter(quiet=arguments.json)
    case, _ = load_case(arguments.case)
    folder = Path(arguments.case)
    with reporter.running():
        drawn, notes = _draw(case, folder, reporter, not arguments.no_pictures)
        page, numbers = write_report(build_report(case, drawn, notes), folder / "report")
    for note in notes:
        print(f"cryoneuro: {note}", file=sys.stderr)
    if arguments.json:
        print(json.dumps(report_numbers(case) | {"html": str(page), "json": str(numbers)}, indent=1))
    else:
        print(f"Results    {page}, {numbers}")
    return _checked(arguments, [case])


def _list(arguments: argparse.Namespace) -> int:
    rows: list[tuple[str, str]]
    if arguments.what == "nerves":
        rows = [(n.id, f"{n.name}: {n.territory}") for n in nerves()]
    elif arguments.what == "probes":
        rows = [(p.id, f"{p.name}, {p.diameter_mm:g} mm, {p.active_length_mm:g} mm cold") for p in probes()]
    elif arguments.what == "needles":
        rows = [(n.id, f"{n.name}, {n.diameter_mm:g} mm") for n in needles()]
    else:
        rows = [(p.id, p.name) for p in protocols()]
    if arguments.json:
        print(json.dumps([{"id": a, "text": b} for a, b in rows], indent=1, ensure_ascii=False))
    else:
        for identifier, text in rows:
            print(f"{identifier:30} {text}")
    return 0


def _fit_probe(arguments: argparse.Namespace) -> int:
    start = probe(arguments.probe)
    sizes = [IsothermSize(*values) for values in arguments.size]
    fit = fit_probe(start, sizes, arguments.gel_c)
    record = {f.name: getattr(fit.probe, f.name) for f in fields(fit.probe)} | {
        "shaft_total_mm": probe_total_mm(start.id)
    }
    if arguments.json:
        print(json.dumps({"record": record, "worst_mm": fit.worst_mm, "sizes_mm": fit.sizes_mm}, indent=1))
        return 0
    print(f"Tip        {fit.probe.tip_temperature_c:.0f} C, active length {fit.probe.active_length_mm:.1f} mm")
    for size, (width, length) in zip(sizes, fit.sizes_mm, strict=True):
        entered = f"{size.width_mm:g}" + ("" if size.length_mm is None else f" x {size.length_mm:g}")
        print(f"{size.isotherm_c:6g} C   {size.time_s:g} s: entered {entered} mm, fitted {width:.1f} x {length:.1f} mm")
    if fit.probe.tip_temperature_c < -195.0:
        print("Look       that is as cold as any cryogen gets; check the sizes, their time and the gel's temperature")
    print("Keep it: add the record of --json to the file probes.json in a folder that CRYONEURO_SITE_DATA names.")
    return 0


def _live(arguments: argparse.Namespace) -> int:
    options = LiveOptions(
        tuple(arguments.same),
        arguments.frozen_since,
        arguments.count,
        arguments.seconds,
        not arguments.no_pictures,
        arguments.json,
    )

    def say(text: str) -> None:
        # For machines every line is an object of its own: a scan's numbers, or what was said.
        print(json.dumps({"said": text}) if arguments.json and not text.startswith("{") else text, flush=True)

    session = LiveSession(arguments.case, options, say)
    sources = _live_sources(arguments)
    if not sources:
        raise GuidanceError("No source of live scans was named; give --listen, --watch FOLDER or --igtl HOST:PORT.")
    if not arguments.json:
        for source in sources:
            say(f"Waiting for scans: {source.words}")
    keys: Queue[str] | None = None
    if sys.stdin is not None and sys.stdin.isatty():
        keys = Queue()
        listen_to_keys(keys)
        say("Type freeze when the freeze begins, thaw when it ends, yes to what was asked; Ctrl-C ends.")
    run_live(session, sources, options, keys)
    return 0


def _live_sources(arguments: argparse.Namespace) -> list[FrameSource]:
    """What was asked for; if one cannot be opened, those before it are closed again."""
    found: list[FrameSource] = []
    try:
        if arguments.listen is not None:
            tls = [Path(p) for p in arguments.tls or []]
            if tls and len(tls) not in (2, 3):
                raise GuidanceError(
                    "--tls takes a certificate, its key and, if wanted, an authority: two files or three."
                )
            settings = ReceiverSettings(
                arguments.host,
                arguments.listen,
                arguments.ae_title,
                tuple(arguments.calling),
                tuple(arguments.address),
                *tls,
            )
            folder = arguments.received or f"{str(arguments.case).rstrip('/')}-received"
            found.append(DicomReceiver(folder, settings))
        if arguments.watch:
            found.append(FolderSource(arguments.watch, arguments.old))
        if arguments.igtl:
            host, _, port = arguments.igtl.rpartition(":")
            if not port.isdecimal():
                raise GuidanceError(
                    f"'{arguments.igtl}' is no OpenIGTLink server; write HOST:PORT, like localhost:18944."
                )
            found.append(IgtlSource(host or "127.0.0.1", int(port)))
    except CryoNeuroError:
        for source in found:
            source.close()
        raise
    return found


def _virtual_scan(arguments: argparse.Namespace) -> int:
    case, _ = load_case(arguments.case)
    if case.plan is None or case.anatomy is None:
        raise GuidanceError("The case has no plan yet; run: cryoneuro plan CASE --target NERVE.")
    if not (0.3 <= arguments.slice_mm <= 20 and 2 <= arguments.slices <= 400):
        raise GuidanceError("A scan has 2 to 400 slices of 0.3 to 20 mm.")
    truth = room_truth(case.plan, arguments.off_mm, arguments.moved_mm, arguments.turned_deg, arguments.patient)
    settings = ScanSettings(slice_mm=arguments.slice_mm, slices=arguments.slices, seed=arguments.seed)
    scan = virtual_room_scan(case.ct, case.anatomy, truth, settings, arguments.frozen_s, not arguments.no_probe)
    files = write_dicom_series(scan, arguments.output)
    if arguments.json:
        print(json.dumps({"files": [str(p) for p in files], "note": "Made by the virtual CT room, not by a scanner."}))
    else:
        print(f"Results    {len(files)} slices in {arguments.output}, made by the virtual CT room, not by a scanner")
    return 0


_ACTIONS: Mapping[str, Action] = {
    "demo": _demo,
    "info": _info,
    "segment": _segment,
    "plan": _plan,
    "why": _why,
    "compare": _compare,
    "block": _block,
    "grow": _grow,
    "confirm": _confirm,
    "simulate": _simulate,
    "run": _run,
    "report": _report,
    "list": _list,
    "fit-probe": _fit_probe,
    "live": _live,
    "virtual-scan": _virtual_scan,
}
