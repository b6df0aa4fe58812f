"""Made-up records of operators, with ratios that are known beforehand."""

from bench.records import ApplicationRow, DoublingRow, LibraryRow, OperatorsSpec, OperatorsValues


def operators_record(operator="radon", scan="kpi", *, ours=0.004, size=362, peers=("astra-toolbox 2.5",)):
    """ASTRA takes ten times as long as ours, and is too slow for the adjoint at batch 8."""
    spec = OperatorsSpec(
        operator=operator,
        scan=scan,
        image_shape=(size, size),
        data_shape=(1, 200, 513) if operator == "radon" else (size, size),
        batches=(1, 8),
        repeats=3,
        peers=peers,
    )
    methods = [("ours", "matrix", 1), *[("astra", "linear, 2 threads", 10) for peer in peers if "astra" in peer]]
    libraries = tuple(
        LibraryRow(
            library=library,
            method=method,
            build_s=0.4,
            stored_bytes=108_000_000 if library == "ours" else 0,
            forward_difference=0.0 if library == "ours" else 2e-5,
            adjoint_difference=0.0 if library == "ours" else 5e-5,
        )
        for library, method, _ in methods
    )
    applications = tuple(
        ApplicationRow(
            library=library,
            method=method,
            direction=direction,
            batch=batch,
            call_s=tuple(ours * factor * scale for scale in ((0.5, 1, 2) if batch == 1 else (8, 16, 32))),
        )
        for library, method, factor in methods
        for direction in ("forward", "adjoint")
        for batch in (1, 8)
        if (library, direction, batch) != ("astra", "adjoint", 8)
    )
    doublings = tuple(
        DoublingRow(doubled=doubled, direction="forward", batch=batch, call_s=(1.0, 2.0), doubled_call_s=times)
        for doubled, batch, times in (("batch", 1, (1.5, 3.0)), ("batch", 8, (3.0, 3.0)), ("angles", 1, (2.0, 2.8)))
    )
    return spec, OperatorsValues(libraries=libraries, applications=applications, doublings=doublings)
