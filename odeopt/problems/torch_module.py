"""A torch module and its data as a problem.

The module is copied, and the parameters of the copy are views of one flat tensor: an evaluation writes the vector there
and calls the module as ever, at no cost for each parameter. Gradients are autograd's, Hessian products those of a
second backward pass (Pearlmutter, Neural Computation 6 (1994) 147). While x stays the same, as in Lanczos'
method, the first pass is kept.
"""

from __future__ import annotations

import contextlib
import copy
import threading
from typing import Any

import numpy as np

from .. import checks
from ..abi import by_value, resolved
from . import differences
from .network_vector import NetworkVector, data_array, digest, kind_of, lengths, takes_data

_AGREE = {"float32": 1e-4, "float64": 1e-9}  # of two evaluations of one number
_WITH_GRAD = contextlib.nullcontext()


class TorchNetwork(NetworkVector):
    """``loss(module(inputs), *targets)`` as a function of the module's parameters."""

    def __init__(self, module: Any, loss: Any, data: Any):
        torch = self.torch = checks.extra("torch", "Problem.from_torch")
        if not isinstance(module, torch.nn.Module):
            made = f"; {module.__name__}(...) makes one" if isinstance(module, type) else ""
            raise TypeError(f"module must be a torch.nn.Module, got {checks.shown(module)}{made}")
        if not callable(loss):
            raise TypeError(f"loss must be a function loss(output, *targets), got {checks.shown(loss)}")
        self.module, self.loss, self.name = copy.deepcopy(module), loss, type(module).__name__
        found = dict(self.module.named_parameters())
        lazy = [name for name, one in found.items() if torch.nn.parameter.is_lazy(one)]
        if lazy:
            raise ValueError(f"module must know its shapes, and {lazy[0]} does not: call it once on data")
        trained = {name: one for name, one in found.items() if one.requires_grad}
        if not trained:
            raise ValueError(f"module must have parameters that require gradients, got {self.name} with "
                             f"{'frozen ones alone' if found else 'none'}")
        self.dtype = kind_of("module", {name: str(one.dtype).rpartition(".")[2] for name, one in found.items()})
        if len({one.device for one in trained.values()}) > 1:
            raise ValueError("module must have its parameters on one device, got several")
        self.names, self.shapes = tuple(trained), tuple(tuple(one.shape) for one in trained.values())
        self._parameters = list(trained.values())
        self._flat = torch.cat([one.detach().reshape(-1) for one in self._parameters])
        for one, part in zip(self._parameters, self.split(self._flat)):
            one.data = part
        self._joined = self._flat.cpu().clone()
        self._places = self.split(self._joined)
        self._host = self._flat.numpy() if self._flat.device.type == "cpu" else np.empty(len(self._flat), self.dtype)
        self.x0 = checks.point("module's parameters", self._flat.cpu().numpy().astype(np.float64))
        self._lock = threading.RLock()  # one module, and threads that ask for its loss at several x
        self._graph, self._at = None, self.x0  # of the first backward pass, and where it was made
        self.tensors = self._tensors(data)
        frozen = {name: one for name, one in self.module.state_dict().items() if name not in trained}
        self.identity = digest(
            [repr(self.module), f"training {self.module.training}", *frozen],
            [one.detach().cpu().numpy() for one in (*self.tensors, *frozen.values()) if isinstance(one, torch.Tensor)])
        self.samples, self.twice = 0, False
        self._look()

    def _tensors(self, data: Any) -> list[Any]:
        """The data as tensors beside the parameters, floating ones in their dtype."""
        torch = self.torch
        data = getattr(data, "tensors", data)  # of a TensorDataset
        if isinstance(data, (torch.Tensor, np.ndarray)):
            data = (data,)
        if not isinstance(data, (tuple, list)) or not data:
            raise TypeError("data must be a tensor, an array or a tuple of them, (inputs, targets), got "
                            f"{checks.shown(data)}")
        found = []
        for one in data:
            # torch.tensor copies: what the caller does to the arrays later is no matter
            tensor = one.detach().clone() if isinstance(one, torch.Tensor) else torch.tensor(data_array(one))
            if tensor.dtype in (torch.uint8, torch.int8, torch.int16, torch.int32):
                tensor = tensor.long()  # what losses take as classes
            if tensor.is_floating_point():
                tensor = tensor.to(self._flat.dtype)
                if not tensor.isfinite().all():
                    raise ValueError("data must be finite, got nan or inf in it")
            found.append(tensor.to(self._flat.device))
        lengths(found)
        return found

    def _look(self) -> None:
        """Errors for what is no function of the parameters; sets ``samples`` and ``twice``."""
        torch = self.torch
        buffers = {name: one.clone() for name, one in self.module.named_buffers()}
        g, tolerance = np.empty(self.x0.size), _AGREE[str(self.dtype)]
        try:
            with self._with_grad():
                value = self._value(self.tensors)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            raise takes_data("module and loss", "the data", error) from error
        if not isinstance(value, torch.Tensor) or value.numel() != 1 or not value.is_floating_point():
            got = f"shape {tuple(value.shape)} of {value.dtype}" if isinstance(value, torch.Tensor) else (
                checks.shown(value))
            raise TypeError(f"loss must return one real number, the mean over the samples, got {got}")
        if not value.requires_grad:
            raise ValueError("loss must depend on the module's parameters by operations that torch can differentiate, "
                             "and does not")
        moved = [name for name, one in self.module.named_buffers() if not one.equal(buffers[name])]
        if moved:
            raise ValueError(f"module must leave its buffers as they are, and moves {moved[0]} (as BatchNorm does in "
                             "training mode): call module.eval() first")
        f, again = value.item(), self.fg(self.x0, g, None)
        if not np.isfinite(f):
            raise ValueError(f"loss must be finite at the module's parameters, got {f}")
        if abs(f - again) > tolerance * max(abs(f), abs(again)):
            raise ValueError(f"module must give one loss at the same parameters, and gave {f:.6g} and {again:.6g} (as "
                             "Dropout does in training mode): call module.eval() first")
        self.samples = len(self.tensors[0])
        if self.samples > 1:
            missed = differences.no_mean(self._on_part, self.samples, f, g, tolerance)
            if missed:
                differences.warn_no_mean("loss", missed)
                self.samples = 0
        try:
            self.twice = not differences.hessian_missed(self)
        except (RuntimeError, NotImplementedError):  # an operation without a second derivative
            self.twice = False

    def _with_grad(self) -> Any:
        """A context in which autograd is on; the usual one costs more."""
        return _WITH_GRAD if self.torch.is_grad_enabled() else self.torch.enable_grad()

    def _value(self, tensors: Any) -> Any:
        return self.loss(self.module(tensors[0]), *tensors[1:])

    def _load(self, x: np.ndarray) -> None:
        """The parameters become ``x``; the graph of another x, which shares their memory, is gone."""
        if self._graph is not None and np.array_equal(x, self._at):
            return
        self._graph = None
        if self.dtype == np.float64:
            self._host[:] = x
        else:
            with np.errstate(over="ignore"):
                self._host[:] = x
        if self._flat.device.type != "cpu":
            self._flat.copy_(self.torch.from_numpy(self._host))

    def _vector(self, parts: Any) -> np.ndarray:
        """``parts`` one after the other, in memory that is used again."""
        for there, part in zip(self._places, parts):
            there.copy_(part)
        return self._joined.numpy()

    def _gradient(self, x: Any, g: np.ndarray, tensors: Any) -> float:
        with self._lock, self._with_grad():
            self._load(x)
            f = self._value(tensors)
            g[:] = self._vector(self.torch.autograd.grad(f, self._parameters, materialize_grads=True))
            return f.item()

    def _on_part(self, batch: Any) -> tuple[float, np.ndarray]:
        g = np.empty(self.x0.size)
        return self.fgb(self.x0, g, None, batch), g

    def fg(self, x, g, data):
        return self._gradient(x, g, self.tensors)

    def fgb(self, x, g, data, batch):
        index = self.torch.tensor(batch, device=self._flat.device)
        return self._gradient(x, g, [one.index_select(0, index) for one in self.tensors])

    def hv(self, x, v, out, data):
        with self._lock, self._with_grad():
            self._load(x)
            if self._graph is None:
                f = self._value(self.tensors)
                self._graph = self.torch.autograd.grad(f, self._parameters, create_graph=True, materialize_grads=True)
                self._at = np.array(x)
            along = self.split(self.torch.tensor(v, dtype=self._flat.dtype, device=self._flat.device))
            pairs = [(g, part) for g, part in zip(self._graph, along) if g.requires_grad]
            if not pairs:  # f is linear
                out[:] = 0.0
                return
            parts = self.torch.autograd.grad([g for g, _ in pairs], self._parameters, [part for _, part in pairs],
                                        retain_graph=True, materialize_grads=True)
            out[:] = self._vector(parts)

    def unflatten(self, x):
        """A dict of tensors by the names of ``module.named_parameters()``: for ``module.load_state_dict(...,
        strict=False)`` and ``torch.func.functional_call``."""
        whole = self.torch.tensor(x, dtype=self._flat.dtype, device=self._flat.device)
        return dict(zip(self.names, self.split(whole)))

    def flatten(self, parameters):
        """The vector of a module like the one given, or of a dict of arrays by name."""
        if isinstance(parameters, self.torch.nn.Module):
            parameters = {name: one for name, one in parameters.named_parameters() if one.requires_grad}
        if not isinstance(parameters, dict) or {*parameters} != {*self.names}:
            got = ", ".join(map(str, parameters)) if isinstance(parameters, dict) else checks.shown(parameters)
            raise ValueError(f"parameters must be a dict of {', '.join(self.names)}, got {got}")
        arrays = [parameters[name] for name in self.names]
        return self.joined(self.names, [one.detach().cpu().numpy() if isinstance(one, self.torch.Tensor) else one
                                        for one in arrays])

    def initial(self, seed):
        """A start as ``reset_parameters`` of the parts makes it, from ``seed``; parts without it keep theirs."""
        fresh = self._copied()
        with self.torch.random.fork_rng(devices=[]):
            self.torch.manual_seed(seed)
            for part in fresh.modules():
                if callable(getattr(part, "reset_parameters", None)):
                    part.reset_parameters()  # pyright: ignore[reportCallIssue]
        return self.flatten(fresh).astype(self.dtype)

    def loss_and_grad(self, w, inputs, targets):
        g = np.empty_like(w)
        return self._gradient(np.asarray(w, np.float64), g, self._tensors((inputs, targets))), g

    def loss_and_accuracy(self, w, inputs, targets):
        inputs, targets = self._tensors((inputs, targets))
        with self._lock, self.torch.no_grad():
            self._load(np.asarray(w, np.float64))
            output = self.module(inputs)
            classes = output.ndim == 2 and targets.ndim == 1 and not targets.is_floating_point()
            right = float((output.argmax(1) == targets).double().mean()) if classes else np.nan
            loss: Any = self.loss(output, targets)
            return loss.item(), right

    def _copied(self) -> Any:
        """A copy of the module at ``x0`` whose parameters have memory of their own."""
        with self._lock:
            self._load(self.x0)
            return copy.deepcopy(self.module)

    def __reduce__(self):
        return _again, (by_value((self._copied(), self.loss)), [one.cpu().numpy() for one in self.tensors])


def _again(parts, data):
    """The network that was sent to this process."""
    checks.extra("torch", "Problem.from_torch")
    with differences.told_before():
        module, loss = resolved(parts)
        return TorchNetwork(module, loss, tuple(data))
