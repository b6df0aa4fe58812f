"""Made-up records: enough to fill every table and figure, with answers that are known beforehand."""

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from bench.recipe import Recipe
from bench.record import (
    AccuracySpec,
    CallsSpec,
    Measurement,
    MemorySpec,
    Provenance,
    ReferenceSpec,
    SolversSpec,
    Status,
    TimingSpec,
)
from bench.store import ResultStore
from bench.values import (
    AccuracyValues,
    CallsValues,
    ImageScore,
    MemoryValues,
    MethodRow,
    ReferenceValues,
    RuleRow,
    SolverPoint,
    SolversValues,
    TimingValues,
    TuningPoint,
    ValidationPoint,
)
from tests.operator_records import operators_record

TASKS = {"deblur": (36, 30), "ct": (32, 32), "mri4x": (32, 32), "mri8x": (32, 32)}
PAPER_SHAPES = {"deblur": (218, 178), "ct": (362, 362), "mri4x": (320, 320)}
MODELS = ("lu-dncnn", "deq4ip", "luser-sw", "luser-dw")
COUNTS = {"lu-dncnn": 556_033, "deq4ip": 556_033, "luser-sw": 93_954, "luser-dw": 751_625}
GAINS_DB = {"lu-dncnn": 4.0, "deq4ip": 4.5, "luser-sw": 4.75, "luser-dw": 5.5, "user.nets:Mine": 6.0}
BATCHES = {"lu-dncnn": 1, "deq4ip": 16, "luser-sw": 10, "luser-dw": 10}
START = datetime(2030, 1, 1, tzinfo=timezone.utc)


class Samples:
    """Writes made-up records into one results folder."""

    def __init__(self, root):
        self.store = ResultStore(root)

    def provenance(self, *, device="test device", dirty=False, hours=0, threads=2, commit="c0ffee" + "0" * 34):
        return Provenance(
            created=START + timedelta(hours=hours),
            commit=commit,
            dirty=dirty,
            device=device,
            python="3.11.0",
            torch="0.0-test",
            platform="test platform",
            threads=threads,
        )

    def add(self, spec, values, *, status=Status.OK, **origin):
        record = Measurement(spec=spec, status=status, values=values, provenance=self.provenance(**origin))
        return self.store.add(record)

    def accuracy(
        self,
        task,
        model,
        loss="final",
        *,
        psnr=None,
        ssim=0.8,
        scale="small",
        data="generated",
        seed=0,
        steps=40,
        status=Status.OK,
        images=None,
        example=None,
        test_images=6,
        **origin,
    ):
        spec = AccuracySpec(
            task=task,
            model=model,
            image_shape=TASKS.get(task, (32, 32)),
            loss=loss,
            scale=scale,
            data=data,
            policy="paper",
            recipe=Recipe(steps=steps, batch=4, learning_rate=1e-3),
            train_images=64,
            test_images=test_images,
            seed=seed,
        )
        psnr = 20.0 + GAINS_DB.get(model, 3.0) + 0.1 * (loss == "aux") if psnr is None else psnr
        items = images or self.items(psnr, ssim, test_images)
        origin_of_record = self.provenance(**origin)
        relative = self.store.add_example(spec, origin_of_record, **example) if example else None
        values = AccuracyValues(
            items=items,
            loss_trace=self.trace(steps, GAINS_DB.get(model, 3.0)),
            skipped_steps=1 if model == "deq4ip" else 0,
            solver_steps=(10.0, 5.0) if model.startswith("luser") else (),
            warm_solver_steps=(10.0, 4.0) if model.startswith("luser") else (),
            residuals=(1e-3, 1e-4),
            solver_trace=() if model == "lu-dncnn" else self.solver_trace(steps),
            validation_trace=self.validations(steps, psnr),
            chosen_step=steps - steps // 8,
            train_s=12.0,
            example=relative,
        )
        return self.add(spec, None if status is Status.DIVERGED else values, status=status, **origin)

    def validations(self, steps, psnr):
        """Eight points, the last but one the best."""
        gains = (-4.0, -2.0, -1.0, -0.6, -0.3, -0.1, 0.2, 0.1)
        return tuple(
            ValidationPoint(step=steps * (n + 1) // 8, train_s=1.5 * (n + 1), psnr_db=psnr + gain, ssim=0.8)
            for n, gain in enumerate(gains)
        )

    def reference(self, task, method, *, psnr=23.0, data="generated", test_images=6, setting=None, **origin):
        spec = ReferenceSpec(
            task=task,
            method=method,
            image_shape=TASKS.get(task, (32, 32)),
            data=data,
            validation_images=10,
            test_images=test_images,
        )
        setting = setting or {"weight": 0.001}
        values = ReferenceValues(
            items=self.items(psnr, 0.7, test_images),
            setting=setting,
            tuning=(TuningPoint(setting=setting, psnr_db=psnr, ssim=0.7),),
            tuning_s=10.0,
            reconstruct_s=0.1,
        )
        return self.add(spec, values, **origin)

    def fill_references(self, **origin):
        """Total variation of every task, filtered backprojection of CT."""
        self.reference("ct", "fbp", psnr=22.0, setting={"window": "hann", "cutoff": 0.8}, **origin)
        for task in TASKS:
            self.reference(task, "tv", **origin)

    def items(self, psnr, ssim, count):
        return tuple(
            ImageScore(
                name=f"image-{n}",
                group=f"group-{n // 2}",
                start_psnr_db=20.0,
                start_ssim=0.5,
                psnr_db=psnr + 0.3 * (n - (count - 1) / 2),
                ssim=ssim,
            )
            for n in range(count)
        )

    def trace(self, steps, speed):
        noise = np.random.default_rng(int(10 * speed)).normal(0.0, 0.2, steps)
        return tuple((0.002 + 0.05 * np.exp(-np.arange(steps) * speed / steps) * np.exp(noise)).tolist())

    def solver_trace(self, steps):
        solved = {"forward_steps": (10.0, 5.0), "backward_steps": (8.0, 4.0)}
        return tuple(
            SolverPoint(step=step, forward_residuals=(1e-3, residual), backward_residuals=(2e-2, residual), **solved)
            for step, residual in ((0, 0.5), (steps // 2, 2e-3))
        )

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
        **origin,
    ):
        spec = MemorySpec(
            task=task,
            model=model,
            image_shape=shape or PAPER_SHAPES.get(task, (32, 32)),
            policy=policy,
            cap_bytes=int(cap_gib * 2**30),
            backend=backend,
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

    def scene(self, task, *, flaw=(4, 4), size=8):
        """A truth, a start, and per model a reconstruction; LU-DnCNN's has a flaw that LUSER-DW's has not."""
        height, width = TASKS.get(task, (32, 32))
        rows, columns = np.mgrid[0:height, 0:width]
        channels = 3 if task == "deblur" else 1
        waves = [np.sin(rows / (3 + c)) * np.cos(columns / (4 + c)) for c in range(channels)]
        truth = (0.5 + 0.4 * np.stack(waves)).astype(np.float32)
        noise = np.random.default_rng(0).normal(size=truth.shape).astype(np.float32)
        images = {model: truth + 0.01 * noise for model in MODELS}
        top, left = flaw
        images["lu-dncnn"] = images["lu-dncnn"].copy()
        images["lu-dncnn"][:, top : top + size, left : left + size] += 0.3
        return truth, np.clip(truth + 0.1 * noise, 0, 1), {m: np.clip(i, 0, 1) for m, i in images.items()}

    def fill_accuracy(self, *, scale="small", data="generated", tasks=TASKS, examples=True, **origin):
        """Every cell of the paper's Table 2, with examples under the final loss."""
        for task in tasks:
            truth, start, images = self.scene(task)
            for model in MODELS:
                for loss in ("final", "aux") if model != "deq4ip" else ("final",):
                    arrays = {"start": start, "reconstruction": images[model], "truth": truth}
                    example = arrays if examples and loss == "final" else None
                    self.accuracy(task, model, loss, scale=scale, data=data, example=example, **origin)

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

    def fill(self):
        """A whole study."""
        self.fill_accuracy()
        self.fill_references()
        self.fill_memory()
        self.fill_speed()
        self.solvers()
        self.operators()
        self.operators("fourier", "paper")


@pytest.fixture(scope="session")
def make_samples():
    return Samples


@pytest.fixture
def samples(tmp_path):
    return Samples(tmp_path / "results")
