"""Made-up records of races: fixed-point solvers, and operators beside other libraries'."""

from bench.records import MethodRow, RuleRow, SolversSpec, SolversValues, SpeedSpec, SpeedValues
from tests.bench.report.record_writer import RecordWriter
from tests.operator_records import operators_record


class RaceSamples(RecordWriter):
    """Adds races of solvers and of operators."""

    def solvers(self, size=64, tolerance=1e-3, *, peers=("torchdeq 0.1.0",), overhead=0.001, **origin):
        spec = SolversSpec(
            task="deblur",
            model="luser-sw",
            image_shape=(size, size),
            batch=8,
            tolerance=tolerance,
            max_steps=50,
            history=6,
            repeats=3,
            peers=peers,
        )
        libraries = ("ours", *(peer.split()[0] for peer in peers))
        methods = tuple(
            MethodRow(
                library=library,
                method=method,
                evaluations=6 + place,
                sample_evaluations=40,
                residual=5e-4,
                solve_s=(0.2, 0.3, 0.4),
                overhead_s=(overhead * (1 + 3 * place),) * 3,
                peak_bytes=20 * 2**20,
                gradient_error=1e-4,
            )
            for place, library in enumerate(libraries)
            for method in ("anderson", "broyden", "picard")
        )
        rules = tuple(
            RuleRow(rule=rule, step_s=seconds, kept_bytes=2**20, peak_bytes=2**21, gradient_error=1e-4)
            for rule, seconds in (("recompute", (1.05, 2.1, 4.2)), ("one-graph", (1.0, 2.0, 4.0)))
        )
        return self.add(spec, SolversValues(methods=methods, rules=rules, step_batch=2), **origin)

    def operators(self, *arguments, ours=0.004, size=362, peers=("astra-toolbox 2.5",), **origin):
        return self.add(*operators_record(*arguments, ours=ours, size=size, peers=peers), **origin)

    def speed(self, work="fourier-forward-1", work_s=(0.002, 0.004, 0.009), beside_s=(0.001, 0.001, 0.003), **origin):
        spec = SpeedSpec(
            work=work, batch=int(work[-1]), image_shape=(320, 320), beside="a floor", repeats=len(work_s), peers=()
        )
        return self.add(spec, SpeedValues(work_s=work_s, beside_s=beside_s), **origin)
