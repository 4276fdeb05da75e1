"""Training `derm-joint`: class and mask at once, from ImageNet weights, on strongly varied images.

Images without a mask train the class alone: their weight in the mask's loss is 0. What is measured and kept is a
running mean of the weights, which forgets a single step's noise.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nevus_workers.models.derm_joint import MASK_STRIDE, SIDE_PX, trainable
from nevus_workers.training import dataset, figures
from nevus_workers.training.augment import augment
from nevus_workers.training.cache import cached_images, cached_masks
from nevus_workers.training.losses import mask_loss
from nevus_workers.training.pretrained import load_encoder
from nevus_workers.training.recipe import Measured, Step
from nevus_workers.training.schedule import warm_cosine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nevus_workers.training.dataset import Sample
    from nevus_workers.training.plan import JointPlan

CACHE_SIDE_PX = 256
"""Side of the training images on disk: nine of ten have no more pixels than that."""
FLOOR = 0.01
"""The last step's learning rate, as a share of the plan's."""
WARM_STEPS = 10.0
"""The running mean follows closely at first: decay (1 + steps) / (WARM_STEPS + steps)."""
RARE = 10
"""A diagnosis with fewer training images is none: those images do not train the auxiliary head."""

Batch = tuple[NDArray[np.float32], dict[str, NDArray[Any]], dict[str, NDArray[np.float32]]]
"""Images (n, side, side, 3) 0..255, truths by output, weights (n,) by output."""


class JointTrainee:
    """See `nevus_workers.training.recipe.Trainee`."""

    def __init__(self, plan: JointPlan) -> None:
        import keras

        self._plan = plan
        splits = dataset.read_samples(plan.data)
        self._train, self._val = splits["train"], splits["val"]
        self._images = cached_images(self._train, CACHE_SIDE_PX, plan.cache)
        self._masks = cached_masks(self._train, CACHE_SIDE_PX, plan.cache)
        self._val_images = cached_images(self._val, SIDE_PX, plan.cache)
        self._val_masks = cached_masks(self._val, SIDE_PX, plan.cache)
        self._diagnoses = diagnosis_names(self._train)
        self._model = trainable(max(1, len(self._diagnoses)), dropout=plan.dropout, drop_path=plan.drop_path)
        if plan.pretrained is not None:
            load_encoder(self._model, plan.pretrained)
        _compile(
            self._model,
            keras.optimizers.AdamW(plan.learning_rate, weight_decay=plan.weight_decay, global_clipnorm=1.0),
            plan,
        )
        self._model.optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        self._model.optimizer.build(self._model.trainable_variables)
        self._average = [np.array(array) for array in self._model.get_weights()]
        self._sized: dict[int, Any] = {}

    @property
    def model(self) -> Any:
        """The trainable form; see `nevus_workers.models.derm_joint`."""
        return self._model

    def images(self, epoch: int) -> int:
        """Returns how many images an epoch has: whole batches only, unless there is less than one."""
        drawn = len(self._draw(epoch))
        return drawn - drawn % self._plan.batch_size or drawn

    def cost(self, epoch: int) -> float:
        """Returns the pixels of an image of this epoch."""
        return float(self._plan.side_px(epoch) ** 2)

    def steps(self, epoch: int) -> Iterator[Step]:
        """Trains one epoch."""
        plan, total = self._plan, self.images(epoch)
        chosen = self._draw(epoch)[:total]
        self._seed_layers(epoch)
        model = self._model_for(plan.side_px(epoch))
        done = 0
        for images, truths, weights in self._batches(chosen, epoch):
            rate = plan.learning_rate * warm_cosine(
                (epoch + done / total) / plan.epochs, warm=plan.warm_share, floor=FLOOR
            )
            self._model.optimizer.learning_rate.assign(rate)
            model.reset_metrics()
            loss = model.train_on_batch(images, truths, sample_weight=weights)
            self._follow()
            done += len(images)
            yield Step(len(images), float(loss[0] if isinstance(loss, (list, tuple)) else loss), rate)

    def measure(self) -> Measured:
        """Returns what the validation split says of the running mean, at the size that serves."""
        kept = self._model.get_weights()
        self._model.set_weights(self._average)
        logits, masks = predict(self._model, self._val_images, self._plan.batch_size)
        self._model.set_weights(kept)
        truth = dataset.labels(self._val)
        probabilities = 1 / (1 + np.exp(-logits.astype(np.float64)))
        return Measured(
            loss=figures.cross_entropy(truth, probabilities),
            auc=figures.auc(truth, logits),
            spread=float(probabilities.std()),
            jaccard=mean_jaccard(self._val, self._val_masks, masks),
        )

    def judged(self) -> list[NDArray[Any]]:
        """Returns the running mean of the weights."""
        return self._average

    def extras(self) -> dict[str, NDArray[np.floating]]:
        """Returns the running mean."""
        return {f"average{index}": array for index, array in enumerate(self._average)}

    def restore(self, extras: dict[str, NDArray[np.floating]]) -> None:
        """Takes the running mean back."""
        self._average = [extras[f"average{index}"] for index in range(len(self._average))]

    def _draw(self, epoch: int) -> list[int]:
        rng = np.random.default_rng([self._plan.seed, epoch])
        return dataset.draw_epoch(self._train, rng, self._plan.benign_per_malignant)[0]

    def _model_for(self, side_px: int) -> Any:
        """Returns the same layers, weights and optimizer as a model for images of one size.

        A model that meets several sizes makes TensorFlow compile for unknown ones, which bilinear doubling can't do.
        """
        if side_px not in self._sized:
            import keras

            pixels = keras.Input((side_px, side_px, 3), name="pixels")
            self._sized[side_px] = keras.Model(pixels, self._model(pixels), name=f"derm_joint_{side_px}")
            _compile(self._sized[side_px], self._model.optimizer, self._plan)
        return self._sized[side_px]

    def _seed_layers(self, epoch: int) -> None:
        """Makes dropout depend on seed and epoch alone, so that a resumed run drops what an uninterrupted one would."""
        states = [variable for variable in self._model.variables if variable.path.endswith("seed_generator_state")]
        for index, state in enumerate(states):
            state.assign([self._plan.seed, epoch * len(states) + index])

    def _follow(self) -> None:
        """Moves the running mean towards the weights after a step."""
        steps = float(np.asarray(self._model.optimizer.iterations))
        pace = 1 - min(self._plan.average, (1 + steps) / (WARM_STEPS + steps))
        for at, variable in enumerate(self._model.weights):
            self._average[at] += pace * (np.asarray(variable) - self._average[at])

    def _batches(self, chosen: Sequence[int], epoch: int) -> Iterator[Batch]:
        """Yields the epoch's batches; one is made ahead in another thread."""
        size = self._plan.batch_size
        balance = dataset.class_weights(dataset.labels([self._train[index] for index in chosen]))
        starts = range(0, len(chosen), size)

        def make(start: int) -> Batch:
            rng = np.random.default_rng([self._plan.seed, epoch, start])
            return self._batch(chosen[start : start + size], self._plan.side_px(epoch), balance, rng)

        with ThreadPoolExecutor(1, "training-data") as maker:
            ahead = maker.submit(make, 0)
            for start in starts:
                ready = ahead.result()
                if start + size < len(chosen):
                    ahead = maker.submit(make, start + size)
                yield ready

    def _batch(
        self, chosen: Sequence[int], side_px: int, balance: NDArray[np.float32], rng: np.random.Generator
    ) -> Batch:
        """Returns one batch of varied images."""
        mask_side_px = side_px // MASK_STRIDE
        images = np.empty((len(chosen), side_px, side_px, 3), np.float32)
        masks = np.empty((len(chosen), mask_side_px, mask_side_px, 1), np.float32)
        for at, index in enumerate(chosen):
            image, mask = augment(self._images[index], self._masks[index], side_px, mask_side_px, rng)
            images[at], masks[at, ..., 0] = image, mask.astype(np.float32) / 255
        drawn = [self._train[index] for index in chosen]
        truth = dataset.labels(drawn)
        known = [self._diagnoses.get(sample.diagnosis, -1) for sample in drawn]
        truths = {"mask": masks, "malignant": truth[:, None], "diagnosis": np.maximum(known, 0).astype(np.int32)}
        weights = {
            "mask": np.array([sample.mask is not None for sample in drawn], np.float32),
            "malignant": balance[truth.astype(int)],
            "diagnosis": (np.array(known) >= 0).astype(np.float32),
        }
        return images, truths, weights


def _compile(model: Any, optimizer: Any, plan: JointPlan) -> None:
    """Gives a model its three losses."""
    import keras

    losses = {
        "mask": mask_loss(),
        "malignant": keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=plan.smoothing),
        "diagnosis": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    }
    weights = {"mask": plan.mask_weight, "malignant": 1.0, "diagnosis": plan.diagnosis_weight}
    model.compile(optimizer=optimizer, loss=losses, loss_weights=weights)


def diagnosis_names(samples: Sequence[Sample]) -> dict[str, int]:
    """Returns the auxiliary head's classes with their numbers: the diagnoses with at least `RARE` samples, sorted."""
    names = [sample.diagnosis for sample in samples if sample.diagnosis]
    return {name: index for index, name in enumerate(sorted({name for name in names if names.count(name) >= RARE}))}


def predict(
    model: Any, images: NDArray[np.uint8], batch_size: int = 32
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns what a `derm-joint` network says, trainable form or serving one.

    Args:
        model: With the outputs `malignant` and `mask`.
        images: uint8 (n, side, side, 3), red-green-blue.
        batch_size: Images a pass.

    Returns:
        float32 (n,) and (n, side / 2, side / 2): logits of the trainable form, probabilities of the serving one.
    """
    classes, masks = [], []
    for start in range(0, len(images), batch_size):
        found = model.predict_on_batch(images[start : start + batch_size].astype(np.float32))
        classes.append(np.asarray(found["malignant"]).reshape(-1))
        masks.append(np.asarray(found["mask"])[..., 0])
    return np.concatenate(classes).astype(np.float32), np.concatenate(masks).astype(np.float32)


def mean_jaccard(samples: Sequence[Sample], truths: NDArray[np.uint8], logits: NDArray[np.float32]) -> float | None:
    """Returns the mean intersection over union of the samples with a mask, without any clean-up; None without any.

    Args:
        samples: Of which those with a mask count.
        truths: uint8 (n, side, side), inside from 128 on.
        logits: float32 (n, side / MASK_STRIDE, side / MASK_STRIDE), inside above 0; enlarged to the truths' size.
    """
    import cv2

    values = [
        figures.jaccard(truths[index] >= 128, cv2.resize(logits[index], truths[index].shape[::-1]) > 0)
        for index, sample in enumerate(samples)
        if sample.mask is not None
    ]
    return float(np.mean(values)) if values else None
