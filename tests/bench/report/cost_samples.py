"""Made-up records of what training costs: memory, time and operator calls."""

from bench.records import CallsSpec, CallsValues, MemorySpec, MemoryValues, Status, TimingSpec, TimingValues
from tests.bench.report.record_writer import MODELS, PAPER_SHAPES, RecordWriter

COUNTS = {"lu-dncnn": 556_033, "deq4ip": 556_033, "luser-sw": 93_954, "luser-dw": 751_625}
BATCHES = {"lu-dncnn": 1, "deq4ip": 16, "luser-sw": 10, "luser-dw": 10}


class CostSamples(RecordWriter):
    """Adds memory, timing and operator calls."""

    def memory(
        self,
        task,
        model,
        cap_gib,
        batch,
        *,
        policy="paper",
        backend="simulate",
        shape=None,
        status=Status.OK,
        precision="fp32",
        **origin,
    ):
        spec = MemorySpec(
            task=task,
            model=model,
            image_shape=shape or PAPER_SHAPES.get(task, (32, 32)),
            policy=policy,
            cap_bytes=int(cap_gib * 2**30),
            backend=backend,
            precision=precision,
        )
        frozen = 243 if task == "deblur" and model != "luser-dw" else 0
        count = COUNTS.get(model, 1234)
        values = MemoryValues(
            max_batch=batch,
            parameters=count + frozen,
            trainable_parameters=count,
            peak_bytes=int(0.9 * cap_gib * 2**30) if batch else None,
            next_peak_bytes=int(1.1 * cap_gib * 2**30),
            probes=(),
        )
        return self.add(spec, values if status is Status.OK else None, status=status, **origin)

    def timing(self, task, model, *, batch=2, rule="common", policy="paper", seconds=0.1, cap_gib=None, **origin):
        spec = TimingSpec(
            task=task,
            model=model,
            image_shape=PAPER_SHAPES.get(task, (32, 32)),
            policy=policy,
            batch=batch,
            batch_rule=rule,
            cap_bytes=int(cap_gib * 2**30) if cap_gib else None,
            repeats=3,
        )
        values = TimingValues(train_step_s=(seconds, 9 * seconds, seconds), evaluation_s=(seconds / 4,) * 3)
        return self.add(spec, values, **origin)

    def calls(self, task, model, *, forward=8, solve=0, **origin):
        spec = CallsSpec(
            task=task,
            model=model,
            image_shape=PAPER_SHAPES.get(task, (32, 32)),
            policy="paper",
            batch=2,
            training_steps=6,
        )
        reconstruction = {
            "forward.reconstruct": forward,
            "adjoint.reconstruct": forward,
            "forward.solve": solve,
        }
        training = {**reconstruction, "forward.backward": forward, "adjoint.backward": forward}
        return self.add(spec, CallsValues(training_step=training, reconstruction=reconstruction), **origin)

    def fill_memory(self, *, policies=("paper", "recompute"), **origin):
        """Every cell of the paper's Table 3 under both policies, simulated."""
        for task in PAPER_SHAPES:
            for model in MODELS:
                for cap in (8, 10, 24):
                    for policy in policies:
                        factor = cap / 8 * (6 if policy == "recompute" else 1)
                        batch = 0 if (task, cap, policy, model) == ("ct", 8, "paper", "lu-dncnn") else BATCHES[model]
                        self.memory(task, model, cap, int(batch * factor) // 2 * 2 or batch, policy=policy, **origin)

    def fill_speed(self, **origin):
        """Timing and operator calls of every task and model."""
        for task in PAPER_SHAPES:
            for place, model in enumerate(MODELS):
                self.timing(task, model, seconds=0.1 * (place + 1), **origin)
                self.timing(
                    task,
                    model,
                    batch=BATCHES[model],
                    rule="maximum",
                    seconds=0.3 * (place + 1),
                    cap_gib=24,
                    **origin,
                )
                self.calls(
                    task,
                    model,
                    forward=20 if model == "deq4ip" else 8,
                    solve=3 * (model == "deq4ip"),
                    **origin,
                )
