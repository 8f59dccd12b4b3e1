"""`Network`: a module with its optimizer and growing head, built when the first row arrives."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from streamreplay.batch import Batch
from streamreplay.columns import describe_array
from streamreplay.errors import CheckpointError, ConfigError, DivergenceError
from streamreplay.features.packed import is_table
from streamreplay.learners.models.factory_checks import (
    call_factory,
    frozen_parts,
    naming_the_shape,
    trained_parameters,
)
from streamreplay.learners.models.networks import ModuleFactory
from streamreplay.learners.neural.fastpath import FastPath
from streamreplay.learners.neural.global_state import OwnRandomness, is_plain
from streamreplay.learners.neural.layer_growth import (
    first_linear,
    grow_head,
    grow_inputs,
    head_width,
    last_linear,
)
from streamreplay.learners.neural.targets import ClassTargets, Targets
from streamreplay.learners.neural.user_functions import describe_tensor
from streamreplay.learners.scaling import Scaler
from streamreplay.state import State, expect

OptimizerFactory: TypeAlias = Callable[[Iterable[nn.Parameter]], Optimizer]


@final
@dataclass(eq=False, repr=False)
class Network:
    """A module and its optimizer, whose head grows with the classes.

    Parameters
    ----------
    given : torch.nn.Module or ModuleFactory
    make_optimizer : OptimizerFactory or torch.optim.Optimizer
    device : torch.device
    random : OwnRandomness
        New weights are drawn from it.
    """

    given: nn.Module | ModuleFactory
    make_optimizer: OptimizerFactory | Optimizer
    device: torch.device
    random: OwnRandomness

    targets: Targets = field(default_factory=ClassTargets)
    """What the outputs stand for; classes, until the first row shows what it asks for."""
    feature_shape: tuple[int, ...] = ()
    of_tables: bool = False
    """Whether rows are packed by a schema; the feature shape is then that of their inputs."""
    width: int = 0
    """The number of the module's outputs."""
    head: nn.Linear | None = None
    """The last linear layer, if its outputs are as many as the module's."""
    plain: bool = False
    """True if the module does the same in training and evaluation, and draws nothing."""
    parameters: list[nn.Parameter] = field(default_factory=list)
    trainable: list[nn.Parameter] = field(default_factory=list)
    """The `parameters` that are learned: they required a gradient when the module was built."""
    statistics: list[torch.Tensor] = field(default_factory=list)
    """Tensors that a forward pass in training changes, such as a batch norm's mean."""
    known: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    """bool[width], classes that a label has named."""
    known_tensor: torch.Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.bool))
    """`known`, on the module's device."""
    mask: torch.Tensor | None = None
    """float32[width] to add to logits, -inf for classes not named yet; None if all are."""
    _module: nn.Module | None = None
    _optimizer: Optimizer | None = None
    _fast: FastPath | None = None
    _frozen: list[nn.Module] = field(default_factory=list)

    @property
    def built(self) -> bool:
        """Whether there is a module yet."""
        return self._module is not None

    @property
    def module(self) -> nn.Module:
        """The module."""
        if self._module is None:
            raise ValueError("the module is built when the first row arrives: there was none yet")
        return self._module

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer."""
        if self._optimizer is None:
            raise ValueError("the optimizer is built when the first row arrives: there was none")
        return self._optimizer

    def head_of(self, module: nn.Module) -> nn.Linear | None:
        """Return the layer of a copy of the module that is the head."""
        if self.head is None or module is self._module:
            return self.head
        found = last_linear(module)
        return None if found is None else found[1]

    @property
    def renewable(self) -> bool:
        """Whether `build` makes a new module each time, because a factory was given."""
        return not isinstance(self.given, nn.Module)

    def fast(self, x: torch.Tensor) -> FastPath | None:
        """Return the fast path, if it can be used for such rows: float32[n, *feature]."""
        fast = self._fast
        return fast if fast is not None and fast.ready(x) else None

    def descended(self, logits: torch.Tensor) -> FastPath | None:
        """Return the fast path if it has computed these logits."""
        fast = self._fast
        return fast if fast is not None and fast.owns(logits) else None

    def masked(self, logits: torch.Tensor) -> torch.Tensor:
        """Return logits with -inf for classes that no label has named: float32[n, width]."""
        return logits if self.mask is None else logits + self.mask

    def update_targets(self, rows: Batch) -> None:
        """Update the running scale of numbers by those of labelled rows."""
        if not isinstance(self.targets, ClassTargets):
            self.targets.update(rows)

    def check_shape(self, x: NDArray[Any]) -> None:
        """Raise ValueError if rows have another shape than those that the module is built for."""
        if is_table(x):
            if not self.of_tables:
                raise ValueError("x: this learner has learned from arrays, got rows of a table")
        elif x.shape[1:] != self.feature_shape or self.of_tables:
            live = f"[n, {', '.join(map(str, self.feature_shape))}]"
            raise ValueError(f"x: this learner has learned from {live}, got {describe_array(x)}")

    def build_for(self, rows: Batch, scaler: Scaler) -> None:
        """Make the module and its optimizer for what some rows are and ask for.

        Each number and label has an output from the start. The inputs of a module that cannot grow
        are fixed in the scaler.

        Raises
        ------
        ConfigError
            The rows have targets, and the module has more or fewer outputs.
        """
        expected = 0 if rows.schema is None else rows.schema.expected_inputs
        self.of_tables = is_table(rows.x)
        self.build(scaler.shape_of(rows.x, expected), self.targets.count_outputs(rows))
        if scaler.table is not None:
            layer = first_linear(self.module, self.feature_shape)
            if layer is None:
                scaler.table.fix()
            else:
                with torch.no_grad():  # of inputs that are not given out yet
                    layer.weight[:, scaler.table.used :] = 0
        outputs = self.targets.width
        if outputs is None:
            return
        if self.width != outputs:
            raise ConfigError(
                f"learner.module: has {self.width} outputs, the target of a row has {outputs}"
            )
        self._know(np.ones(outputs, np.bool_))

    def fit_table(self, x: NDArray[Any], scaler: Scaler) -> None:
        """Make room for the columns of packed rows.

        The first such rows may follow arrays of numbers, which were their first columns.

        Raises
        ------
        ValueError
            The rows before were other arrays.
        """
        if not self.of_tables and len(self.feature_shape) == 1:
            self.of_tables = True
            encoder = scaler.encoder_for(self.feature_shape[0])
            if first_linear(self.module, self.feature_shape) is None:
                encoder.fix()
        self.check_shape(x)
        self.grow_inputs(*scaler.shape_of(x))

    def grow_inputs(self, width: int) -> None:
        """Widen the first layer for columns or categories that are new; their weights are 0."""
        layer = first_linear(self.module, self.feature_shape)
        if layer is None or width <= layer.in_features:
            return
        grow_inputs(layer, width, self.optimizer)
        self.feature_shape = (width,)

    def build(self, feature_shape: tuple[int, ...], n_classes: int) -> None:
        """Make the module and its optimizer.

        Parameters
        ----------
        feature_shape : tuple of int
        n_classes : int
            The number of outputs passed to a factory; a given module keeps its own.

        Raises
        ------
        ValueError
            The module has no parameter that can be trained, or the given optimizer holds none of
            those that can.
        """
        given = self.given
        if isinstance(given, nn.Module):
            module = given
        else:
            with self.random():
                module = call_factory(given, feature_shape, n_classes)
        self._module = module.to(self.device)
        self.parameters = list(module.parameters())
        self.trainable = trained_parameters(module)
        self._frozen = frozen_parts(module)
        self.statistics = list(module.buffers())
        self.feature_shape = feature_shape
        self.plain = is_plain(module)
        made = self.make_optimizer
        self._optimizer = made if isinstance(made, Optimizer) else made(self.trainable)
        self._check_optimizer(self._optimizer)
        # parameters that are frozen when the module is built stay frozen
        whole = len(self.trainable) == len(self.parameters)
        self._fast = FastPath(module, self._optimizer) if whole else None
        self.width = self._count_outputs()
        head = last_linear(module)
        # a layer of another width is not the last one, and what follows it cannot grow
        self.head = head[1] if head and head[1].out_features == self.width else None
        self._know(np.zeros(self.width, np.bool_))

    def train(self, rows: int) -> None:
        """Put the module into training mode for a pass over some rows, except for its frozen parts.

        Those stay in evaluation mode: their batch norm uses and keeps the statistics it came with,
        and their dropout is off. A pass over one row has no variance: its batch norm uses and keeps
        the running statistics.
        """
        self.module.train()
        for part in self._frozen:
            part.eval()
        if rows == 1:
            for part in self.module.modules():
                if isinstance(part, _BatchNorm):
                    part.eval()

    def meet(self, labels: NDArray[np.int64]) -> None:
        """Grow the head and unmask classes for labels that are new; -1 is no label.

        Raises
        ------
        ConfigError
            A label is beyond the outputs of a module that does not end in a linear layer.
        """
        top = int(labels.max())
        if top < self.width and self.mask is None:
            return
        if top >= self.width:
            self._grow(head_width(top + 1))
        known = self.known.copy()
        known[labels[labels >= 0]] = True
        self._know(known)

    def restore(self, statistics: list[torch.Tensor]) -> None:
        """Restore the tensors that a forward pass has changed, from the copies that there are."""
        if statistics:
            for live, before in zip(self.statistics, statistics, strict=True):
                live.copy_(before)

    def state_dict(self) -> State:
        """Return the weights, the optimizer's state and the classes known.

        Raises
        ------
        DivergenceError
            A weight is not finite.
        """
        if not self.built:
            return {"built": False}
        weights = self.module.state_dict()
        for name, tensor in weights.items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise DivergenceError(f"module.{name} is not finite: such weights are not saved")
        return {
            "built": True,
            "feature_shape": list(self.feature_shape),
            "of_tables": self.of_tables,
            "module": dict(weights),
            "optimizer_kind": type(self.optimizer).__name__,
            "optimizer": self.optimizer.state_dict(),
            "known": self.known,
        }

    def load_state_dict(self, state: State) -> None:
        """Load a state of the same module and kind of optimizer."""
        if not state["built"]:
            expect("built", state["built"], self.built)  # a built module cannot be dropped
            return
        self.load_module(state)
        expect("optimizer_kind", state["optimizer_kind"], type(self.optimizer).__name__)
        self._check_optimizer_state(state["optimizer"])
        try:
            # torch's optimizers keep the given tensors, and write to them later
            self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        except ValueError as error:
            raise CheckpointError(f"optimizer: {error}") from None

    def _check_optimizer_state(self, saved: State) -> None:
        """Raise an error unless its numbers are of the shapes of the parameters they belong to."""
        held = (each for group in self.optimizer.param_groups for each in group["params"])
        shapes = {place: tuple(each.shape) for place, each in enumerate(held)}
        for place, values in saved["state"].items():
            for name, value in values.items():
                if isinstance(value, torch.Tensor) and tuple(value.shape) not in (
                    shapes[place],
                    (),
                ):
                    found = describe_tensor(value)
                    raise CheckpointError(f"optimizer.state.{place}.{name}: saved {found}")

    def load_module(self, state: State) -> None:
        """Load the module, and the classes known, of a state; the optimizer stays as it is."""
        known: NDArray[np.bool_] = state["known"]
        if self.built and state["of_tables"] and self.of_tables:
            self.grow_inputs(*state["feature_shape"])
        self.of_tables = state["of_tables"]
        if self.built:
            expect("feature_shape", list(state["feature_shape"]), list(self.feature_shape))
        else:
            self.build(tuple(state["feature_shape"]), max(1, len(known)))
        if len(known) > self.width:
            self._grow(len(known))
        self._load_weights(state["module"])
        self._know(known.copy())

    def _load_weights(self, saved: Mapping[str, torch.Tensor]) -> None:
        live = self.module.state_dict()
        expect("module", sorted(saved), sorted(live))
        for name, tensor in live.items():
            expect(f"module.{name}", describe_tensor(saved[name]), describe_tensor(tensor))
        self.module.load_state_dict(dict(saved))

    def _check_optimizer(self, optimizer: Optimizer) -> None:
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        if held.isdisjoint(map(id, self.trainable)):
            raise ValueError(
                f"optimizer holds none of the module's parameters, got {len(held)} others"
            )

    def _count_outputs(self) -> int:
        was_training = self.module.training
        self.module.eval()
        row = torch.zeros(1, *self.feature_shape, device=self.device)
        with torch.no_grad(), self.random(), naming_the_shape(self.feature_shape):
            outputs = self.module(row)
        self.module.train(was_training)
        return int(outputs.shape[-1])

    def _grow(self, width: int) -> None:
        if self.head is None:
            raise ConfigError(
                f"label index {width - 1} is beyond the module's {self.width} outputs, "
                "and it has no linear layer at its end to grow"
            )
        with self.random():
            grow_head(self.head, width, self.optimizer)
        self.width = width
        self.known = np.append(self.known, np.zeros(width - len(self.known), np.bool_))

    def _know(self, known: NDArray[np.bool_]) -> None:
        self.known = known
        self.known_tensor = torch.from_numpy(known).to(self.device)
        self.mask = None
        if not known.all():
            self.mask = torch.zeros(self.width, device=self.device)
            self.mask.masked_fill_(~self.known_tensor, -torch.inf)
