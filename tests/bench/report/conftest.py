"""Made-up records: enough to fill every table and figure, with answers that are known beforehand."""

import numpy as np
import pytest

from bench.records import (
    AccuracySpec,
    AccuracyValues,
    ImageScore,
    ReferenceSpec,
    ReferenceValues,
    SolverPoint,
    Status,
    TuningPoint,
    ValidationPoint,
)
from bench.records.recipe import Recipe
from tests.bench.report.cost_samples import CostSamples
from tests.bench.report.race_samples import RaceSamples
from tests.bench.report.record_writer import MODELS

TASKS = {"deblur": (36, 30), "ct": (32, 32), "mri4x": (32, 32), "mri8x": (32, 32)}
GAINS_DB = {"lu-dncnn": 4.0, "deq4ip": 4.5, "luser-sw": 4.75, "luser-dw": 5.5, "user.nets:Mine": 6.0}


class Samples(CostSamples, RaceSamples):
    """Adds accuracy, and whole studies."""

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
        recipe=None,
        precision="fp32",
        start="adjoint",
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
            precision=precision,
            start=start,
            recipe=Recipe(**{"steps": steps, "batch": 4, "learning_rate": 1e-3} | (recipe or {})),
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
