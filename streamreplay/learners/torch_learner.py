"""The learner around a PyTorch module: predict the incoming rows, then rehearse."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Literal, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from streamreplay.batch import Batch, Rehearsal, Scored, describe_array, empty_memory
from streamreplay.errors import CheckpointError, DivergenceError
from streamreplay.learners.ambience import OwnRandomness, own_threads
from streamreplay.learners.modules import ModuleFactory
from streamreplay.learners.network import Network, OptimizerFactory
from streamreplay.learners.scaling import Normalize, Scaler
from streamreplay.learners.scores import Scores, score, score_blindly
from streamreplay.learners.views import gradients_at_outputs, watching
from streamreplay.randomness import Seed
from streamreplay.stage import State

__all__ = ["TorchLearner"]


@final
class TorchLearner:
    """Predict each incoming batch, then take training steps on it together with memory.

    Plain experience replay: the loss of a step is the mean cross-entropy over the incoming rows and
    the rows of memory that were drawn for it. A batch is one averaged step, not one step for each
    of its rows. Rows without a label are predicted only.

    The last linear layer is the head: it grows when a label beyond its width appears, and classes
    that no label has named yet are masked out of predictions and losses.

    Parameters
    ----------
    module : torch.nn.Module or ModuleFactory
        A module, trained in place, or a factory that is called when the first row shows its shape.
    optimizer : callable or torch.optim.Optimizer
        Given the parameters, returns the optimizer: ``partial(torch.optim.SGD, lr=0.05)``. An
        optimizer that was already built over ``module.parameters()`` will do.
    normalize : {"auto", "standard", "none"}
        How features are scaled; see `streamreplay.learners.scaling.Scaler`.
    on_divergence : {"raise", "skip"}
        What to do when a loss is not finite: stop, or leave out the step.
    device : str or torch.device
    threads : int, optional
        CPU threads for this learner's work; None takes torch's setting. Results can differ in the
        last digits between numbers of threads.
    seed : int or numpy.random.SeedSequence
        For the module's own random numbers: initial weights, dropout. torch's global generator is
        left as it was found.

    Examples
    --------
    >>> from functools import partial
    >>> from streamreplay.batch import Batch
    >>> from streamreplay.learners import linear
    >>> learner = TorchLearner(linear(), partial(torch.optim.SGD, lr=0.1))
    >>> stream = [Batch.from_arrays([[float(i % 2)]], [i % 2], start=i) for i in range(100)]
    >>> [int(scored.prediction[0]) for scored in learner(stream)][-4:]
    [0, 1, 0, 1]
    """

    def __init__(
        self,
        module: nn.Module | ModuleFactory,
        optimizer: OptimizerFactory | Optimizer,
        *,
        normalize: Normalize = "auto",
        on_divergence: Literal["raise", "skip"] = "raise",
        device: str | torch.device = "cpu",
        threads: int | None = None,
        seed: Seed = 0,
    ) -> None:
        if on_divergence not in ("raise", "skip"):
            raise ValueError(f"on_divergence must be raise or skip, got {on_divergence!r}")
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, got {threads}")
        root = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
        self.device = torch.device(device)
        self.threads = threads
        self.on_divergence = on_divergence
        self.batches = 0
        """Batches learned from."""
        self._scaler = Scaler(normalize)
        self._random = OwnRandomness(int(root.generate_state(1)[0]), self.device)
        self._net = Network(module, optimizer, self.device, self._random)
        self._x = torch.empty(0)  # float32[rows, *feature], staged: aligned alike in every process
        self._y = torch.empty(0, dtype=torch.int64)  # [rows]
        self._x_array = self._x.numpy()  # the same memory
        self._y_array = self._y.numpy()

    @property
    def module(self) -> nn.Module:
        """The module as it is now.

        Raises
        ------
        ValueError
            A factory was given, and no row has arrived yet.
        """
        return self._net.module

    def __call__(self, stream: Iterable[Batch | Rehearsal]) -> Iterator[Scored]:
        """Score each record's incoming batch, then learn from the record."""
        for record in stream:
            rehearsal = record
            if isinstance(rehearsal, Batch):
                rehearsal = Rehearsal(rehearsal, empty_memory(rehearsal))
            yield self._step(rehearsal)

    def predict_proba(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return class probabilities without learning: float32[n, classes].

        Classes that no label has named yet have probability 0.

        Raises
        ------
        ValueError
            Rows have another shape than those learned from, or no row has arrived yet.
        """
        if not self._net.built:
            raise ValueError("there are no classes to predict before the first row has arrived")
        self._check_shape(x)
        with self._ambience():
            return torch.softmax(self._masked(self._predict(x)), 1).cpu().numpy()

    def losses(self, batch: Batch) -> NDArray[np.float32]:
        """Return the present loss of each row: float32[n], NaN where it has no label.

        Nats, as `Scored.loss`; a class that was not met yet has the largest loss there is. Like
        `features` and `gradients`, this runs in evaluation mode and leaves no trace in the learner.

        Raises
        ------
        ValueError
            Rows have another shape than those learned from.
        """
        if not self._net.built or not len(batch):
            return score_blindly(batch.y)[2]
        self._check_shape(batch.x)
        with self._asking():
            return self._score(batch.y, self._predict(batch.x))[2]

    def features(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return what the head is given for each row: float32[n, d].

        Of a module that does not end in a linear layer, its outputs; before the first row was
        learned, the rows themselves, flattened, uint8 divided by 255.

        Raises
        ------
        ValueError
            Rows have another shape than those learned from.
        """
        if not self._net.built or not len(x):
            plain = np.empty(x.shape, np.float32)
            self._scaler.write(x, plain)
            return plain.reshape(len(x), math.prod(x.shape[1:]))
        self._check_shape(x)
        with self._asking(), watching(self._net.head) as view:
            return view.features(self._predict(x))

    def gradients(self, batch: Batch) -> NDArray[np.float32]:
        """Return each row's gradient of the loss at the head's weights and bias: float32[n, d].

        Class after class, so that d grows by entries at the end. A row of a class that was not met
        yet has a gradient as if it had probability 0; one without a label, 0. Of a module that does
        not end in a linear layer, the gradient at its outputs. Before the first row was learned
        there are no weights, and d is 0.

        Raises
        ------
        ValueError
            Rows have another shape than those learned from.
        """
        if not self._net.built or not len(batch):
            return np.empty((len(batch), 0), np.float32)
        self._check_shape(batch.x)
        with self._asking(), watching(self._net.head) as view:
            logits = self._predict(batch.x)
            p = torch.softmax(self._masked(logits), 1).cpu().numpy()
            if not self._net.known.any():
                p = np.zeros_like(p)
            return view.gradients(gradients_at_outputs(p, batch.y), logits)

    def state_dict(self) -> State:
        """Return weights, optimizer, scaler, the classes known and the random state.

        Raises
        ------
        DivergenceError
            A weight is not finite.
        """
        return {
            "batches": self.batches,
            "scaler": self._scaler.state_dict(),
            "random": self._random.state_dict(),
            "network": self._net.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Take over a state of the same module, optimizer and scaling."""
        self.batches = int(state["batches"])
        for name, part in (("scaler", self._scaler), ("network", self._net)):
            try:
                part.load_state_dict(state[name])
            except CheckpointError as error:
                raise CheckpointError(f"{name}.{error}") from None
        self._random.load_state_dict(state["random"])  # last: building the network moves it

    # -- one record ------------------------------------------------------------------------------

    def _step(self, rehearsal: Rehearsal) -> Scored:
        incoming = rehearsal.incoming
        if not len(incoming):
            nothing = np.empty(0, np.float32)
            return Scored(incoming, np.empty(0, np.int64), nothing, nothing)
        if not self._net.built:
            if incoming.held_out:  # such rows must not decide what the module looks like
                return Scored(incoming, *score_blindly(incoming.y))
            self._net.build(incoming.x.shape[1:], max(1, int(incoming.y.max()) + 1))
        self._check_shape(incoming.x)
        if self._net.plain and self.threads in (None, torch.get_num_threads()):
            return self._work(rehearsal)
        with self._ambience():
            return self._work(rehearsal)

    def _work(self, rehearsal: Rehearsal) -> Scored:
        incoming = rehearsal.incoming
        if incoming.held_out:
            return Scored(incoming, *self._score(incoming.y, self._predict(incoming.x)))
        return self._learn(rehearsal)

    def _learn(self, rehearsal: Rehearsal) -> Scored:
        incoming, net = rehearsal.incoming, self._net
        first = not self._scaler.count
        if first:
            self._scaler.update(incoming.x)
        n = len(incoming)
        self._stage(n + rehearsal.rows.shape[1])
        self._load(incoming, slice(0, n))
        top = int(incoming.y.max())
        # the training pass predicts as well, as long as it is the same function of the old weights
        joint = net.plain and 0 <= top < net.width
        logits = self._forward(rehearsal, 0) if joint else None
        scores = self._score(incoming.y, self._evaluate(n) if logits is None else logits[:n])
        replayed = skipped = 0
        if top >= 0:
            if net.mask is not None and not net.known.any() and len(rehearsal.memory):
                net.meet(rehearsal.memory.y)  # the buffer had been filled before
                logits = None
            net.meet(incoming.y)
            replayed, skipped = self._train(rehearsal, logits)
        if not first:
            self._scaler.update(incoming.x)
        self.batches += 1
        return Scored(incoming, *scores, replayed, skipped)

    def _train(self, rehearsal: Rehearsal, logits: torch.Tensor | None) -> tuple[int, int]:
        """Take the training steps; return memory rows learned from, and passes left out.

        ``logits`` are those of the first pass, if they are there already.
        """
        optimizer, skipped = self._net.optimizer, 0
        guarded = self.on_divergence == "skip" and self._net.statistics
        steps, k = rehearsal.rows.shape
        labels = self._y[: len(rehearsal.incoming) + k]
        parameters = self._net.parameters
        for step in range(steps):
            before = [buffer.clone() for buffer in guarded] if guarded else []
            if logits is None:
                logits = self._forward(rehearsal, step)
            loss = cross_entropy(self._masked(logits), labels.to(self.device), ignore_index=-1)
            value = loss.item()
            logits = None
            if not math.isfinite(value):
                self._diverged(value, rehearsal.incoming)
                self._net.restore(before)
                skipped += 1
                continue
            for parameter in parameters:
                parameter.grad = None  # what optimizer.zero_grad() does, without its hooks
            loss.backward()  # type: ignore[no-untyped-call]
            if self.on_divergence == "skip" and not self._finite_gradients():
                self._net.restore(before)
                skipped += 1
                continue
            optimizer.step()
        return (steps - skipped) * k, skipped

    def _forward(self, rehearsal: Rehearsal, step: int) -> torch.Tensor:
        """Run the module on the staged incoming rows and the memory rows of a pass."""
        n, rows = len(rehearsal.incoming), rehearsal.rows[step]
        end = n + len(rows)
        if len(rows):
            self._scaler.write(rehearsal.memory.x.take(rows, axis=0), self._x_array[n:end])
            self._y_array[n:end] = rehearsal.memory.y[rows]
        if not self._net.plain:
            self._net.module.train()
        logits: torch.Tensor = self._net.module(self._x[:end].to(self.device))
        return logits

    def _predict(self, x: NDArray[Any]) -> torch.Tensor:
        self._stage(len(x))
        self._scaler.write(x, self._x_array[: len(x)])
        return self._evaluate(len(x))

    def _evaluate(self, n: int) -> torch.Tensor:
        """Run the module on the first n staged rows, in evaluation mode."""
        if not self._net.plain:
            self._net.module.eval()
        with torch.no_grad():
            logits: torch.Tensor = self._net.module(self._x[:n].to(self.device))
        return logits

    def _score(self, y: NDArray[np.int64], logits: torch.Tensor) -> Scores:
        known = self._net.known.any()
        return score(y, self._masked(logits)) if known else score_blindly(y)

    def _masked(self, logits: torch.Tensor) -> torch.Tensor:
        mask = self._net.mask
        return logits if mask is None else logits + mask

    def _stage(self, rows: int) -> None:
        """Make room for so many staged rows."""
        shape = self._net.feature_shape
        if len(self._x) < rows or self._x.shape[1:] != shape:
            self._x = torch.zeros(rows, *shape)
            self._y = torch.zeros(rows, dtype=torch.int64)
            self._x_array, self._y_array = self._x.numpy(), self._y.numpy()

    def _load(self, batch: Batch, rows: slice) -> None:
        self._scaler.write(batch.x, self._x_array[rows])
        self._y_array[rows] = batch.y

    def _check_shape(self, x: NDArray[Any]) -> None:
        if x.shape[1:] != self._net.feature_shape:
            live = f"[n, {', '.join(map(str, self._net.feature_shape))}]"
            raise ValueError(f"x: this learner has learned from {live}, got {describe_array(x)}")

    def _diverged(self, value: float, incoming: Batch) -> None:
        if self.on_divergence == "raise":
            raise DivergenceError(
                f"loss is {value} at batch {self.batches} (stream positions {incoming.t[0]} to "
                f"{incoming.t[-1]}): try a smaller learning rate, or on_divergence = skip"
            )

    def _finite_gradients(self) -> bool:
        gradients = [p.grad for p in self._net.parameters if p.grad is not None]
        return all(bool(torch.isfinite(gradient).all()) for gradient in gradients)

    @contextmanager
    def _ambience(self) -> Iterator[None]:
        with own_threads(self.threads), nullcontext() if self._net.plain else self._random():
            yield

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """As `_ambience`, and the random state is afterwards what it was."""
        before = self._random.state_dict()
        try:
            with self._ambience():
                yield
        finally:
            self._random.load_state_dict(before)
